"""Made-up people and organizations, one for each answer that a hub gives."""

from __future__ import annotations

from labtesting.github.world import World

MEMBERS_OF = "lsst-sqre"
CLUBS = 120


def populate(world: World) -> None:
    """Add them; `lsst-sqre` is the organization whose members a hub should let in."""
    ada = world.add_account("ada", name="Ada Amber, member", email="ada@example.org")
    ben = world.add_account("Ben-Bolt", name="Ben Bolt, member and administrator", email="ben@example.org")
    cleo = world.add_account("cleo", name="Cleo Crane, member of very many", email="cleo@example.org")
    dan = world.add_account("dan", name="Dan Drift, invited only", email="dan@example.org")
    eve = world.add_account("eve", name="Eve Ember, outsider", email="eve@example.org")
    finn = world.add_account("finn", name="Finn Frost, member, suspended", email="finn@example.org")
    finn.suspended = True
    sqre = world.find_organization(MEMBERS_OF) or world.add_organization(MEMBERS_OF)
    for member in (ada, ben, cleo, finn):
        sqre.members[member.id] = "active"
    sqre.members[dan.id] = "pending"
    sqre.teams["admins"] = {ben.id}
    world.add_organization("starlight-survey", ada, eve)
    for number in range(CLUBS):
        world.add_organization(f"club-{number + 1:03}", cleo)

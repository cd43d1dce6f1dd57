"""Sample users and organizations. For each possible result of a login at the hub, there is a user."""

from __future__ import annotations

from labtesting.github.world import World

ALLOWED_ORGANIZATION = "lsst-sqre"
CLUBS = 120


def populate(world: World) -> None:
    """Add the sample users and organizations. The hub of the demo should allow the members of `lsst-sqre` to log in."""
    ada = world.add_account("ada", name="Ada Amber, member", email="ada@example.org")
    ben = world.add_account("Ben-Bolt", name="Ben Bolt, member and administrator", email="ben@example.org")
    cleo = world.add_account("cleo", name=f"Cleo Crane, member of {CLUBS + 1} organizations", email="cleo@example.org")
    dan = world.add_account("dan", name="Dan Drift, invited, not yet a member", email="dan@example.org")
    eve = world.add_account("eve", name="Eve Ember, not a member", email="eve@example.org")
    finn = world.add_account("finn", name="Finn Frost, member with a suspended account", email="finn@example.org")
    finn.suspended = True
    sqre = world.find_organization(ALLOWED_ORGANIZATION) or world.add_organization(ALLOWED_ORGANIZATION)
    for member in (ada, ben, cleo, finn):
        sqre.members[member.id] = "active"
    sqre.members[dan.id] = "pending"
    sqre.teams["admins"] = {ben.id}
    world.add_organization("starlight-survey", ada, eve)
    for number in range(CLUBS):
        world.add_organization(f"club-{number + 1:03}", cleo)

"""Patches of how SQLAlchemy loads JupyterHub's tables.

CPU figures are for a hub with 2,000 labs: docs/dev/scale.md.
"""

from __future__ import annotations

from jupyterhub import orm  # type: ignore[import-untyped]

LAZY_RELATIONS = ("roles", "groups", "shared_with_me")


def load_user_relations_lazily() -> None:
    """Load a user's roles, groups and shares from the database when code first reads them.

    Why: JupyterHub's mapping sends three additional queries for them with each query for a user, even if the user is in
    memory. JupyterHub's handler for the list of users names the relations to load, so the patch does not slow it down.
    Gain: 20 % of a spawn's CPU, 25 % of an activity report's.
    Upstream: `lazy="select"` in the mapping of `orm.User`.
    """
    for name in LAZY_RELATIONS:
        relation = getattr(orm.User, name).property
        relation.strategy = relation._get_strategy((("lazy", "select"),))


def apply_patches() -> None:
    """Apply all patches of this module."""
    load_user_relations_lazily()

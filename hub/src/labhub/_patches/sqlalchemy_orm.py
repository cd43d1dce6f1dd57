"""Patches of how SQLAlchemy loads JupyterHub's tables.

CPU figures are for a hub with 2,000 labs: docs/dev/scale.md.
"""

from __future__ import annotations

from jupyterhub import orm  # type: ignore[import-untyped]

LAZY_RELATIONS = ("roles", "groups", "shared_with_me")


def load_user_relations_lazily() -> None:
    """Load a user's roles, groups and shares from the database when code first reads them.

    Why: with each query for a user, SQLAlchemy sends three more queries for these relations, even if the user is
    already in memory. JupyterHub's handler for the list of users requests the relations explicitly, so the patch does
    not make the list slower.
    Gain: 20 % of the hub's CPU time for a spawn, and 25 % of the hub's CPU time for an activity report.
    Upstream: `lazy="select"` in the mapping of `orm.User`.
    """
    for name in LAZY_RELATIONS:
        relation = getattr(orm.User, name).property
        relation.strategy = relation._get_strategy((("lazy", "select"),))


def apply_patches() -> None:
    """Apply all patches of this module."""
    load_user_relations_lazily()

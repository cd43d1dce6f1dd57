"""Reaction of the hub to the activity reports that labs send."""

from __future__ import annotations

from jupyterhub.user import User  # type: ignore[import-untyped]

from labhub.labs.spawner import LabSpawner


def notify_pending_starts(user: User | None) -> None:
    """Wake the tasks that wait until a lab of the user answers.

    A lab sends its first activity report just before it answers.
    """
    for spawner in user.spawners.values() if user else ():
        if spawner.pending == "spawn" and isinstance(spawner, LabSpawner):
            spawner.notify_report()

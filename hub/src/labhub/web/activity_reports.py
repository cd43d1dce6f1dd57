"""Handle the activity reports that labs send to the hub."""

from __future__ import annotations

from jupyterhub.user import User  # type: ignore[import-untyped]

from labhub.labs.spawner import LabSpawner


def notify_pending_starts(user: User | None) -> None:
    """Wake the user's pending starts to check their labs. A lab sends its first report just before it answers."""
    for spawner in user.spawners.values() if user else ():
        if spawner.pending == "spawn" and isinstance(spawner, LabSpawner):
            spawner.notify_report()

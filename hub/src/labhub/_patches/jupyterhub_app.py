"""JupyterHub's application with the hooks that upstream lacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]

from labhub._patches import apply_patches

Route = tuple[str, type[Any]]


class HookedJupyterHub(JupyterHub):  # type: ignore[misc]  # untyped
    """JupyterHub with hooks before it opens the database and before it checks the labs, and with routes of our own.

    Why: upstream calls these methods in `initialize` without a hook in between. Its option `extra_handlers` adds
    routes after JupyterHub's, so it cannot replace a page.
    Gain: required by the hub. Each override calls upstream's method, so that it works with any version.
    Upstream: `pre_init` hooks, and `extra_handlers` before JupyterHub's.
    """

    patched = False
    """Whether the installed JupyterHub is a tested version, so that its patches are applied."""

    def init_db(self) -> None:
        """Apply the patches, then open the database with `open_database`."""
        self.patched = apply_patches(self.log)
        self.open_database(super().init_db)

    def open_database(self, init_db: Callable[[], None]) -> None:
        """Open the hub's database with JupyterHub's `init_db`. A subclass can check the database first."""
        init_db()

    def init_handlers(self) -> None:
        """Add the hub's routes before JupyterHub's."""
        super().init_handlers()
        routes = [*self._replaced_routes(), *self.own_routes()]
        self.handlers[:0] = self.add_url_prefix(self.hub_prefix, routes)

    def _replaced_routes(self) -> Sequence[Route]:
        if not self.patched:
            return ()
        from labhub._patches import jupyterhub_handlers  # an untested JupyterHub may lack what this module imports

        return jupyterhub_handlers.ROUTES

    def own_routes(self) -> Sequence[Route]:
        """Return the routes that the hub adds, below the hub's prefix."""
        return ()

    async def init_spawners(self) -> int:
        """Call `check_labs` with the function that checks the labs.

        Why: upstream's function sends an HTTP request to each lab. It loads each user with four queries, because its
        `populate_existing` discards the users that are already loaded.
        Gain: half of the time of a restart with 2,000 labs.
        Upstream: load the users with one query; skip the HTTP request if `poll` is None.
        """
        if not self.patched:
            return await self.check_labs(super().init_spawners)
        # Imported here, because an untested JupyterHub may lack what `startup` imports.
        from labhub.lifecycle.startup import check_running_labs

        return await self.check_labs(partial(check_running_labs, self))

    async def check_labs(self, check: Callable[[], Awaitable[int]]) -> int:
        """Check which labs run, and return the number of checked labs."""
        return await check()

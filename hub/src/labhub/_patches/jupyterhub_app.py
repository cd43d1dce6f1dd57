"""Subclass of JupyterHub's application, with hooks that JupyterHub itself lacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]

from labhub._patches import apply_patches

Route = tuple[str, type[Any]]


class HookedJupyterHub(JupyterHub):  # type: ignore[misc]  # untyped
    """JupyterHub with the hub's routes, and with hooks before the database is opened and before the labs are checked.

    Why: JupyterHub's `initialize` opens the database and checks the labs without a hook before either step. The option
    `extra_handlers` adds routes after JupyterHub's routes, so it cannot replace a page.
    Gain: the hub does not work without these hooks. Each method calls the JupyterHub method that it overrides, so the
    class works with any version of JupyterHub.
    Upstream: `pre_init` hooks, and an option that puts `extra_handlers` before JupyterHub's routes.
    """

    patched = False
    """Whether the hub has applied its patches of JupyterHub, which requires a tested version of JupyterHub."""

    def init_db(self) -> None:
        """Apply the patches, then open the database with `open_database`."""
        self.patched = apply_patches(self.log)
        self.open_database(super().init_db)

    def open_database(self, init_db: Callable[[], None]) -> None:
        """Open the hub's database with JupyterHub's `init_db`. A subclass can first check the database."""
        init_db()

    def init_handlers(self) -> None:
        """Add the hub's routes before JupyterHub's routes, so that the hub can replace a page."""
        super().init_handlers()
        routes = [*self._replaced_routes(), *self.own_routes()]
        self.handlers[:0] = self.add_url_prefix(self.hub_prefix, routes)

    def _replaced_routes(self) -> Sequence[Route]:
        if not self.patched:
            return ()
        from labhub._patches import jupyterhub_handlers  # this import can fail with an untested JupyterHub

        return jupyterhub_handlers.ROUTES

    def own_routes(self) -> Sequence[Route]:
        """Return the routes that the hub adds to JupyterHub. Their paths are relative to the hub's prefix `/hub`."""
        return ()

    async def init_spawners(self) -> int:
        """Call `check_labs` with the function that checks the labs.

        This is the hub's function `check_running_labs`. If the patches are not applied, it is JupyterHub's function.

        Why: JupyterHub's function sends an HTTP request to each lab. JupyterHub's function also loads each user with
        four queries, because the option `populate_existing` discards the users that are already loaded.
        Gain: half of the time of a restart with 2,000 labs.
        Upstream: load the users with one query; skip the HTTP request if `poll` returns None, which means that the lab
        runs.
        """
        if not self.patched:
            return await self.check_labs(super().init_spawners)
        # Import the module here. At the top of the file, the import would fail if an untested JupyterHub lacks a name
        # that `startup` needs.
        from labhub.lifecycle.startup import check_running_labs

        return await self.check_labs(partial(check_running_labs, self))

    async def check_labs(self, check: Callable[[], Awaitable[int]]) -> int:
        """Check which labs run, and return the number of checked labs."""
        return await check()

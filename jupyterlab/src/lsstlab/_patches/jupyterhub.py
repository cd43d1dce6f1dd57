"""Patches of JupyterHub's single-user server: its unused imports, and its first connection to the hub."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from lsstlab._patches.guard import is_tested
from lsstlab.settings_fallback import HubUnreachableExit

PROJECT, TESTED = "jupyterhub", ("6.1.1",)
EFFECT = "labs start 0.3 s later, and up to a second later where NetworkPolicies are enforced"

SERVER_MODULE = "jupyterhub.singleuser.extension"
# The attributes of each stub. `jupyterhub.log.log_request` checks whether a handler is a HealthCheckHandler.
STUBS: dict[str, dict[str, object]] = {
    "jupyterhub.handlers": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": type("HealthCheckHandler", (), {})},
    "jupyterhub.orm": {},
    "jupyterhub.roles": {},
    "sqlalchemy": {},
    "sqlalchemy.exc": {"SQLAlchemyError": type("SQLAlchemyError", (Exception,), {})},
}
CONNECT_ATTEMPTS, CONNECT_SECONDS = 40, 0.05


def load_single_user_server() -> type[Any]:
    """Import JupyterHub's single-user server and return its class, patched if the version was tested."""
    patched = is_tested(PROJECT, TESTED, EFFECT)
    with stub_unused_modules() if patched else nullcontext():
        server: type[Any] = import_module(SERVER_MODULE).JupyterHubSingleUser
    if patched:
        connect_before_version_check(server)
    return server


@contextmanager
def stub_unused_modules() -> Iterator[None]:
    """Replace modules that the single-user server imports but never uses with empty ones, until the block ends.

    What: `jupyterhub.log`, `metrics`, `objects`, `utils` and `scopes` import the hub's handlers and tables, which
    import SQLAlchemy and Alembic. After the block each name imports the real module again, because a user's extension
    may need it.

    Why: imports take most of the time until a lab answers. Twenty labs that start at once on one node compete for its
    processors.

    Gain: 0.29 s of 1.05 s until the server answers, 0.26 s of 0.95 s of processor time.

    Unnecessary when: these modules import `orm` and `handlers` only in the functions that use them.
    """
    names = [name for name in STUBS if name not in sys.modules]
    for name in names:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(STUBS[name])
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def connect_before_version_check(server: type[Any]) -> None:
    """Override `JupyterHubSingleUser.check_hub_version`: wait for a connection to the hub before the check.

    What: the server tries a connection to the hub every 50 ms before JupyterHub's own check of the hub's version. If
    the check ends the server, the type of the exit shows that the user's settings are not the reason.

    Why: where NetworkPolicies are enforced, the network learns of a new pod up to two seconds after the pod runs, and
    drops its packets until then. Linux repeats a dropped first packet after one second.

    Gain: 1.1 s of 2.5 s in every other spawn (docs/dev/pods.md).

    Unnecessary when: JupyterHub checks the version after the server answers, or connects with a timeout below 1 s.
    """
    check_hub_version = server.check_hub_version

    async def connect_and_check(self: Any) -> None:
        await wait_for_connection(self.hub_auth.api_url)
        try:
            await check_hub_version(self)
        except SystemExit as error:
            raise HubUnreachableExit(error.code) from error

    server.check_hub_version = connect_and_check


async def wait_for_connection(url: str) -> None:
    """Wait until the host of a URL accepts or refuses a connection, for up to 2 s. JupyterHub reports errors."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for _ in range(CONNECT_ATTEMPTS):
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(parts.hostname, port)
                    writer.close()
                return

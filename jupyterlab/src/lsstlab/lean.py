"""Loads JupyterHub's single-user server without what it imports and never uses.

Most of the time until a lab answers is the loading of modules, and twenty labs that start at once on one node all wait
for each other's. Of what JupyterHub 6.1.1, JupyterLab 4.6.6 and nbdime 4.0.4 import:

- Three modules of JupyterHub want the hub's own: one class of its pages, the database's tables, one exception of
  SQLAlchemy's. With these come the hub's handlers, SQLAlchemy and Alembic: 0.2 s of processor time of a lab's 0.95.
- aiohttp asks for names through c-ares if it is there; without it through the C library, as all else in a lab does.
  jsonschema has checks for formats that no schema of an event uses, and builds their grammars: 25 ms together.
- A handler of JupyterLab's, which lists extensions that a site has blocked, and one of nbdime's want requests: 30 ms.
- JupyterLab's manager that installs extensions wants httpx: 15 ms. In an image nobody can install any.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


def of_the_real(name: str) -> Callable[[str], object]:
    """Give a module's `__getattr__` that looks into the real one, which then is loaded."""
    return lambda attribute: getattr(import_module(name), attribute)


def make_pypi_manager(*options: object) -> object:
    """Make JupyterLab's manager that installs extensions, for whoever has configured it."""
    return import_module("jupyterlab.extensions.pypi").PyPIExtensionManager(*options)


# What is wanted of each: `log_request` asks whether a handler is one of the first; nobody asks for the others.
UNUSED: dict[str, dict[str, object]] = {
    "jupyterhub.handlers": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": type("HealthCheckHandler", (), {})},
    "jupyterhub.orm": {},
    "jupyterhub.roles": {},
    "jupyterlab.extensions.pypi": {"PyPIExtensionManager": make_pypi_manager},
    "requests": {"__getattr__": of_the_real("requests")},
    "sqlalchemy": {},
    "sqlalchemy.exc": {"SQLAlchemyError": type("SQLAlchemyError", (Exception,), {})},
}
# Whoever imports these can do without.
UNWANTED = ("aiodns", "isoduration", "rfc3986_validator")


@contextmanager
def without_the_unused() -> Iterator[None]:
    """Have empty modules stand in while the server's are loaded.

    Afterwards each of their names means the real module again, for whoever imports it: a user's extension may.
    """
    names = [name for name in (*UNUSED, *UNWANTED) if name not in sys.modules]
    for name in names:
        if name in UNUSED:
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(UNUSED[name])
        else:
            sys.modules[name] = None  # type: ignore[assignment]  # there is no such module, this says
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]

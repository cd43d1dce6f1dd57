"""Loads JupyterHub's single-user server without the parts of the hub that it imports and never uses.

Of JupyterHub 6.1.1 `jupyterhub.log` wants one class of the hub's pages, `jupyterhub.scopes` the database's tables and
`jupyterhub.utils` one exception of SQLAlchemy's. With these come the hub's handlers, SQLAlchemy and Alembic: 0.2 s of
processor time, a quarter of what a lab takes to load, which twenty labs that start at once on one node all wait for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# What is imported from each: `log_request` asks whether a handler is one of the first; nobody asks for the others.
UNUSED: dict[str, dict[str, object]] = {
    "jupyterhub.handlers": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": type("HealthCheckHandler", (), {})},
    "jupyterhub.orm": {},
    "jupyterhub.roles": {},
    "sqlalchemy": {},
    "sqlalchemy.exc": {"SQLAlchemyError": type("SQLAlchemyError", (Exception,), {})},
}


@contextmanager
def without_the_hub() -> Iterator[None]:
    """Have empty modules stand in while JupyterHub's are loaded.

    Afterwards each of their names means the real module again, for whoever imports it: a user's extension may.
    """
    stand_ins = {name: ModuleType(name) for name in UNUSED if name not in sys.modules}
    for name, module in stand_ins.items():
        vars(module).update(UNUSED[name])
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]

"""The hub's database, before JupyterHub takes it up: what is wrong with it, in one line without its password."""

from __future__ import annotations

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from jupyterhub.dbutil import ALEMBIC_DIR  # type: ignore[import-untyped]
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError


class DatabaseTrouble(Exception):
    """The database cannot be used; the message says why."""


def trouble(url: str, why: str | Exception) -> DatabaseTrouble:
    """Say what is wrong, on one line."""
    shown = make_url(url).set(query={}).render_as_string(hide_password=True)
    reason = " ".join(str(why.orig if isinstance(why, DBAPIError) else why).split())
    return DatabaseTrouble(f"the database {shown} cannot be used: {reason}")


def check(url: str) -> None:
    """Look whether it answers, and is not a newer hub's.

    JupyterHub migrates whatever is not of its own version: of a newer hub's SQLite file it would leave a copy at each
    start, and then fail.

    Raises
    ------
    DatabaseTrouble
        It does not, or is.
    """
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise trouble(url, error) from error
    finally:
        engine.dispose()
    known = {one.revision for one in ScriptDirectory(ALEMBIC_DIR).walk_revisions()}
    if found and found not in known:
        raise trouble(url, f"found the schema {found} of a newer JupyterHub, wanted one that this one knows")

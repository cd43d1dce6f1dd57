"""The hub's database: checks before JupyterHub opens it, and SQLite's write-ahead log."""

from __future__ import annotations

from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from jupyterhub.dbutil import ALEMBIC_DIR  # type: ignore[import-untyped]
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError


class DatabaseError(Exception):
    """Error for a database that the hub cannot use. The message states the reason on one line, without passwords."""


def describe_failure(url: str, reason: str | Exception) -> DatabaseError:
    """Return the error for a database that the hub cannot use, with the database's URL and the reason."""
    shown_url = make_url(url).set(query={}).render_as_string(hide_password=True)
    text = " ".join(str(reason.orig if isinstance(reason, DBAPIError) else reason).split())
    return DatabaseError(f"the database {shown_url} cannot be used: {text}")


def check_schema(url: str) -> None:
    """Check that the database answers, and that its schema is not newer than this JupyterHub.

    JupyterHub tries to migrate each schema that differs from its own. With the SQLite file of a newer hub, each start
    would copy the file, and then fail.

    Raises
    ------
    DatabaseError
        Raised if the database does not answer, or if the schema is newer than this JupyterHub.
    """
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise describe_failure(url, error) from error
    finally:
        engine.dispose()
    known = {script.revision for script in ScriptDirectory(ALEMBIC_DIR).walk_revisions()}
    if revision and revision not in known:
        raise describe_failure(
            url, f"found the schema {revision} of a newer JupyterHub; run that version, or restore an older backup"
        )


def use_write_ahead_log() -> None:
    """Let SQLite write changes to a log beside the database file, and wait for the disk only at checkpoints.

    A spawn commits about twenty times. Without this log, the whole hub would wait for the disk at each commit, for
    example 5 ms on a network disk. A power failure can lose the last commits, but a crash of the hub cannot:
    https://www.sqlite.org/wal.html. After such a loss, the hub recovers labs that are missing from its database
    (`labhub.lifecycle.lab_recovery`).
    """
    if not event.contains(Engine, "connect", _set_journal_mode):
        event.listen(Engine, "connect", _set_journal_mode)


def _set_journal_mode(connection: Any, _record: object) -> None:
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

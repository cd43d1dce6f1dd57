"""Tests of the hub with SQLite and PostgreSQL: new databases, databases of JupyterHub 5.3.0, and unusable databases."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from labhub.configuration import CONFIG_FILE
from labhub.infra.database import DatabaseError, check_schema
from labtesting.hub_process import free_ports, wait_until
from labtesting.needs import skip_or_fail

from hub.tests.integration.conftest import CONFIG, run_site
from hub.tests.integration.test_start import COMPLETE

DATA = Path(__file__).parent / "data"
OLD_KEY, ADA = "5" * 64, 4001
PASSWORD = "made-up-password"
NEWER = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
INSERT INTO alembic_version VALUES ('f00d1234beef');
CREATE TABLE users (id INTEGER);
"""


def database_config(url: str) -> str:
    """Return the configuration file of a hub that uses the database at this URL."""
    settings = f"from labhub.configuration import configure_database\nconfigure_database(c, {url!r})\n"
    return f"{settings}{CONFIG}c.JupyterHub.cleanup_servers = False\n"


@dataclass
class PostgreSQL:
    """A PostgreSQL server. PostgreSQL refuses to run as root. If the tests run as root, another user runs it."""

    folder: Path
    programs: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    def run(self, program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start one of PostgreSQL's programs, for example `initdb`."""
        switch_user: list[str] = []
        if os.getuid() == 0:
            account = pwd.getpwnam("nobody")
            switch_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        command = [*switch_user, self.programs / program, *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)

    def create_data(self) -> None:
        """Create the data folder of the PostgreSQL server."""
        if os.getuid() == 0:
            for folder in (self.folder, *self.folder.parents[:3]):
                folder.chmod(0o755)
            os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, -1)
        options = ("--username=hub", "--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync")
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        assert self.run("initdb", f"--pgdata={self.folder}/data", f"--pwfile={password}", *options).wait() == 0

    def start(self) -> None:
        """Start the PostgreSQL server, and wait until it answers."""
        settings = ("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
        self.process = self.run("postgres", "-D", self.folder / "data", "-k", self.folder, f"-p{self.port}", *settings)
        ready = ("pg_isready", "--host=127.0.0.1", f"--port={self.port}", "--quiet")
        wait_until(lambda: self.run(*ready).wait() == 0, "PostgreSQL answers")

    def stop(self) -> None:
        """Stop the PostgreSQL server and all its connections, as an upgrade of PostgreSQL does."""
        assert self.process
        self.process.send_signal(2)
        self.process.wait()

    def url(self, name: str = "postgres") -> str:
        """Return the URL of a database of this server, as in the setting HUB_DATABASE_URL."""
        return f"postgresql+psycopg://hub:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def create(self, name: str) -> str:
        """Create a database on the PostgreSQL server, and return the URL of the database."""
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def connect(self, name: str) -> psycopg.Connection:
        """Connect to a database directly, without the hub."""
        return psycopg.connect(self.url(name).replace("+psycopg", ""), autocommit=True)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """Run a PostgreSQL server."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        skip_or_fail("PostgreSQL", "apt install postgresql")
    server = PostgreSQL(tmp_path_factory.mktemp("postgresql"), programs[-1])
    server.create_data()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Run a web server instead of a lab that JupyterHub 5.3.0 has started. Yield the server's process id and port."""
    (tmp_path / "lab/user/ada").mkdir(parents=True)
    (tmp_path / "lab/user/ada/index.html").write_text("still here")
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "http.server", str(port), "--bind=127.0.0.1", f"--directory={tmp_path / 'lab'}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield process.pid, port
    process.terminate()
    process.wait()


def old_database(kind: str, lab: tuple[int, int]) -> tuple[str, str]:
    """Return the SQL dump of a JupyterHub 5.3.0 database, and the API token of ada in this database.

    In the dump, `lab` is ada's running lab.
    """
    text = (DATA / f"jupyterhub-5.3-{kind}.sql").read_text()
    filled = text.replace("{{PID}}", str(lab[0])).replace("{{PORT}}", str(lab[1]))
    return filled, text.split("-- token of ada: ", 1)[1].split()[0]


def make_sqlite(file: Path, script: str = "") -> str:
    """Create an SQLite database with an SQL script, and return the URL of the database."""
    with closing(sqlite3.connect(file)) as database:
        database.executescript(script)
    return f"sqlite:///{file}"


@contextmanager
def upgraded(url: str, token: str, folder: Path) -> Iterator[Any]:
    """Run our hub with a database of JupyterHub 5.3.0. Check before and after ada's login that no data is lost."""
    keys = {"JUPYTERHUB_CRYPT_KEY": f"{'6' * 64};{OLD_KEY}", "JUPYTERHUB_CRYPT_KEY_FILE": ""}
    with run_site(folder, database_config(url), **keys) as site:
        ada = site.hub.user("ada")
        assert ada is not None
        assert ada["auth_state"]["github_user"]["id"] == ADA
        assert ada["groups"] == ["observers"]
        assert site.hub.user("grace") is not None
        tokens = site.hub.api("GET", "/users/ada/tokens").json()["api_tokens"]
        assert "made with 5.3.0" in [stored["note"] for stored in tokens]
        # The hub treats ada's lab as running, and the proxy has a route to the lab.
        assert ada["servers"][""]["ready"]
        assert httpx.get(f"{site.hub.url}/user/ada/").text == "still here"
        # ada's API token of JupyterHub 5.3.0 becomes valid again with ada's first login to our hub.
        assert not site.token_works(token)
        account = site.world.add_account("ada", ADA)
        site.world.find_organization("lsst-sqre").members[account.id] = "active"
        assert site.visitor("ada").log_in().status_code == 200
        assert site.token_works(token)
        assert site.lab_runs("ada")
        yield site


def test_old_sqlite_database_is_backed_up_and_migrated(tmp_path: Path, lab: tuple[int, int]) -> None:
    script, token = old_database("sqlite", lab)
    file = tmp_path / "hub.sqlite"
    url = make_sqlite(file, script)
    before = file.read_bytes()
    with upgraded(url, token, tmp_path):
        [copy] = tmp_path.glob("hub.sqlite.2*")
        assert copy.read_bytes() == before


def test_old_postgresql_database_is_migrated(postgresql: PostgreSQL, tmp_path: Path, lab: tuple[int, int]) -> None:
    script, token = old_database("postgresql", lab)
    url = postgresql.create("old")
    with postgresql.connect("old") as connection:
        connection.execute(script.encode())
    with upgraded(url, token, tmp_path) as site:
        assert PASSWORD not in site.hub.log


def test_hub_reconnects_to_a_restarted_postgresql(postgresql: PostgreSQL, tmp_path: Path) -> None:
    with run_site(tmp_path, database_config(postgresql.create("new"))) as site:
        visitor, _ = site.member("ada")
        token = site.api_token("ada")
        postgresql.stop()
        postgresql.start()
        wait_until(lambda: site.token_works(token), "the hub has reconnected to its database")
        assert visitor.is_logged_in()
        assert PASSWORD not in site.hub.log
        # JupyterHub logs one traceback for the first request after the restart, because the request's database
        # connection was closed. The following requests must not log another traceback.
        site.hub.log_file.write_text("")
        site.member("grace")
    with postgresql.connect("new") as connection:
        assert connection.execute("SELECT name FROM users ORDER BY name").fetchall() == [("ada",), ("grace",)]


def start(url: str, folder: Path) -> tuple[str, str]:
    """Start the hub with an unusable database, as the hub's image does. Return all output and the last log message."""
    tokens = {"CONFIGPROXY_AUTH_TOKEN": "made-up", "FILESERVER_TOKEN": "made-up-for-this-test"}
    environment = os.environ | COMPLETE | tokens | {"HUB_DATABASE_URL": url}
    run = "import sys; from labhub.app import LabHub; LabHub.launch_instance(sys.argv[1:])"
    secret = f"--JupyterHub.cookie_secret_file={folder / 'cookie_secret'}"
    command = [sys.executable, "-c", run, "--config", str(CONFIG_FILE), secret]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert PASSWORD not in output
    last = json.loads(output.splitlines()[-1])
    assert last["log.level"] == "critical"
    assert "\n" not in last["message"]
    return output, last["message"]


def test_unreachable_database_ends_the_hub_with_one_line(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    output, last = start(f"postgresql+psycopg://hub:{PASSWORD}@127.0.0.1:{port}/hub", tmp_path)
    assert f"postgresql+psycopg://hub:***@127.0.0.1:{port}/hub cannot be used: connection failed" in last
    assert "Traceback" not in output


def test_failed_migration_ends_the_hub_and_keeps_the_copy(tmp_path: Path) -> None:
    script, _ = old_database("sqlite", (1, 1))
    url = make_sqlite(tmp_path / "hub.sqlite", f"{script}\nALTER TABLE services ADD COLUMN timeout INTEGER;")
    output, last = start(url, tmp_path)
    assert "duplicate column name: timeout" in output
    assert "its migration failed; restore a backup" in last
    assert len(list(tmp_path.glob("hub.sqlite.2*"))) == 1


def schema_error(url: str) -> str:
    """Call `check_schema` with an unusable database, and return the message of the error."""
    with pytest.raises(DatabaseError) as error:
        check_schema(url)
    message = str(error.value)
    assert PASSWORD not in message
    assert "\n" not in message
    return message


def test_unusable_database_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("something else, long enough to have the header of a database")
    assert schema_error(f"sqlite:///{tmp_path}/none/hub.sqlite").endswith("unable to open database file")
    assert schema_error(f"sqlite:///{tmp_path}/other").endswith("file is not a database")


def test_newer_database_is_refused(tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "hub.sqlite", NEWER)
    assert "found the schema f00d1234beef of a newer JupyterHub; run that version" in schema_error(url)


def test_postgresql_errors_omit_the_password(postgresql: PostgreSQL) -> None:
    assert 'database "none" does not exist' in schema_error(postgresql.url("none"))
    wrong = postgresql.url().replace("made-up", "other")
    assert 'password authentication failed for user "hub"' in schema_error(wrong)

"""The hub's database: SQLite and PostgreSQL, new and of an older JupyterHub."""

from __future__ import annotations

import os
import pwd
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from labtesting.hub_process import free_ports, wait_until
from labtesting.needs import missing

from hub.tests.integration.conftest import CONFIG, run_site

OLD = Path(__file__).parent / "data/jupyterhub-5.sql"
OLD_TOKEN = "0123456789abcdef0123456789abcdef"


def keeping_in(url: str) -> str:
    """Give the configuration of a hub with this database."""
    return f"{CONFIG}\nfrom labhub.hub import configure_database\nconfigure_database(c, {url!r})\n"


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a PostgreSQL, as nobody, since it refuses to be root's; give its URL."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        missing("PostgreSQL", "apt install postgresql")
    folder = tmp_path_factory.mktemp("postgresql")
    as_nobody: list[str] = []
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for place in (folder, *folder.parents[:3]):
            place.chmod(0o755)
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_nobody = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    data, port, bin_ = folder / "data", free_ports(1)[0], programs[-1].parent
    make = [str(bin_ / "initdb"), f"--pgdata={data}", "--username=hub", "--auth=trust", "--no-sync"]
    subprocess.run([*as_nobody, *make], check=True, stdout=subprocess.DEVNULL)
    where = ["-D", str(data), "-k", str(folder), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    run = [str(bin_ / "postgres"), *where]
    process = subprocess.Popen([*as_nobody, *run], stderr=subprocess.DEVNULL)
    try:
        ready = [str(bin_ / "pg_isready"), "--host=127.0.0.1", f"--port={port}", "--quiet"]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL answers")
        yield f"postgresql+psycopg://hub@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait()


def test_postgresql_keeps_who_was_there(postgresql: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with run_site(tmp_path / "first", keeping_in(postgresql)) as site:
        site.member("ada")
    with run_site(tmp_path / "second", keeping_in(postgresql)) as site:
        assert site.hub.user("ada") is not None


def test_a_database_of_an_older_jupyterhub_is_migrated_and_a_copy_kept(tmp_path: Path) -> None:
    file = tmp_path / "hub.sqlite"
    with sqlite3.connect(file) as database:
        database.executescript(OLD.read_text())
    database.close()
    with run_site(tmp_path, keeping_in(f"sqlite:///{file}")) as site:
        assert site.hub.user("ada") is not None
        told = httpx.get(f"{site.hub.url}/hub/api/user", headers={"Authorization": f"token {OLD_TOKEN}"})
        # The token is known; whose it is has no GitHub account yet, so it opens nothing.
        assert told.status_code == 403
        assert site.hub.api("GET", "/users/ada/tokens").json()["api_tokens"][0]["note"] == "made with 5.3.0"
    assert len(list(tmp_path.glob("hub.sqlite.2*"))) == 1

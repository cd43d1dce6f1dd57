"""The surroundings of one lab, made by real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


def lab(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `lab COMMAND...` with just these variables."""
    return subprocess.run(
        [sys.executable, "-m", "lsstlab", *command],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_gets_private_folders_for_sockets_and_databases(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    done = lab(*SHOW, HOME=str(tmp_path), LAB_SCRATCH=str(scratch))
    environ = json.loads(done.stdout)
    assert environ["JUPYTER_RUNTIME_DIR"] == str(scratch / "runtime")
    assert environ["JUPYTERLAB_WORKSPACES_DIR"] == str(scratch / "workspaces")
    assert [(scratch / name).stat().st_mode & 0o777 for name in ("", "runtime")] == [0o700, 0o700]


def test_a_new_home_gets_notebooks_and_an_explained_user_setups(tmp_path: Path) -> None:
    lab(*SHOW, HOME=str(tmp_path), LAB_SCRATCH=str(tmp_path / "s"))
    setups = tmp_path / "notebooks" / ".user_setups"
    assert "LSST_Stack" in setups.read_text()
    setups.write_text("mine")
    lab(*SHOW, HOME=str(tmp_path), LAB_SCRATCH=str(tmp_path / "s"))
    assert setups.read_text() == "mine"


def test_a_new_home_gets_the_systems_first_files_and_stays_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    lab(*SHOW, HOME=str(home), LAB_SCRATCH=str(tmp_path / "s"))
    first = {path.name for path in Path("/etc/skel").iterdir()}
    assert first
    assert {path.name for path in home.iterdir()} == first | {"notebooks"}
    assert home.stat().st_mode & 0o777 == 0o700
    (home / ".bashrc").unlink()
    lab(*SHOW, HOME=str(home), LAB_SCRATCH=str(tmp_path / "s"))
    assert not (home / ".bashrc").exists(), "what somebody has removed does not come back"


def run_python(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


LOAD = """
import sys
from importlib import import_module
from lsstlab.lean import UNUSED, without_the_unused
from lsstlab.session import EXTENSIONS
with without_the_unused():
    import jupyterhub.singleuser.extension
with without_the_unused():
    for extension in EXTENSIONS:
        import_module(extension)
"""


def test_until_it_is_known_which_home_there_is_nothing_looks_for_it(tmp_path: Path) -> None:
    run_python(f"""
import os
os.environ |= {{"HOME": {str(tmp_path)!r}, "LAB_SCRATCH": {str(tmp_path / "scratch")!r}}}
from jupyter_core import paths
def look():
    raise AssertionError("where the home may hang")
paths.get_home_dir = look
from lsstlab import session
def settle(finding):
    raise SystemExit(0)
session.settle = settle
session.run_server([])
raise AssertionError("it did not ask")
""")


def test_a_spawned_lab_loads_nothing_that_it_does_not_use() -> None:
    unused = {"sqlalchemy", "alembic", "requests", "urllib3", "httpx", "aiodns", "pycares", "arrow", "IPython"}
    run_python(f"{LOAD}assert not {unused} & {{name.partition('.')[0] for name in sys.modules}}, sys.modules")


def test_whoever_wants_what_is_not_used_gets_it() -> None:
    run_python(f"""{LOAD}
assert not set(UNUSED) & set(sys.modules)
import jupyterhub.orm, sqlalchemy, aiodns
assert issubclass(jupyterhub.orm.User, object) and sqlalchemy.__version__ and aiodns.DNSResolver
""")


def test_requests_is_loaded_when_it_is_used() -> None:
    run_python(f"""{LOAD}
from jupyterlab_server import listings_handler
try:
    listings_handler.requests.request("get", "http://127.0.0.1:1/", timeout=5)
except listings_handler.requests.exceptions.ConnectionError as error:
    assert type(error).__module__ == "requests.exceptions"
else:
    raise AssertionError("nobody listens there")
""")


def test_who_configures_the_manager_that_installs_extensions_gets_it() -> None:
    run_python(f"""{LOAD}
from jupyterlab.extensions import get_pypi_manager
manager = get_pypi_manager({{}}, {{}}, None)
assert manager.metadata.name == "PyPI", manager.metadata
""")


def test_what_builds_a_grammar_for_a_second_when_it_is_imported_is_in_no_lock() -> None:
    locks = [
        path for path in Path(__file__).parents[3].glob("*/requirements.txt") if "jupyter-events==" in path.read_text()
    ]
    assert {path.parent.name for path in locks} >= {"hub", "jupyterlab"}
    assert [path for path in locks if "rfc3987-syntax" in path.read_text()] == []


def test_a_home_that_cannot_be_written_does_not_keep_anyone_out(tmp_path: Path) -> None:
    done = lab(*SHOW, HOME="/proc/self", LAB_SCRATCH=str(tmp_path))
    assert done.returncode == 0


def test_a_scratch_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to make a folder that belongs to somebody else")
    os.chown(tmp_path, 12345, 12345)
    done = lab(*SHOW, LAB_SCRATCH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"lab: LAB_SCRATCH: {tmp_path} belongs to someone else: name a folder of your own\n"


def test_a_scratch_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    done = lab(*SHOW, LAB_SCRATCH=str(tmp_path / "link"))
    assert "belongs to someone else" in done.stderr


def test_a_missing_command_is_one_line() -> None:
    done = lab("no-such-command")
    assert (done.returncode, done.stderr) == (1, "lab: no-such-command: No such file or directory\n")


def test_spawned_by_a_hub_it_becomes_the_single_user_server(tmp_path: Path) -> None:
    # Without the hub's other variables the server refuses: enough to see which program it became.
    done = lab(HOME=str(tmp_path), LAB_SCRATCH=str(tmp_path / "s"), JUPYTERHUB_API_TOKEN="x")
    assert "JUPYTERHUB_SERVICE_URL" in done.stderr or "jupyterhub-singleuser" in done.stderr

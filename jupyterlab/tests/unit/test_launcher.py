"""Tests of the start of a spawned lab: it does not import unused packages, and it checks the home before reading it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run_python(script: str) -> None:
    """Run a script in a new Python process, and check that the script ends without an error."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


LOAD = """
import sys
from importlib import import_module
import lsstlab.__main__
from lsstlab._patches.jupyterhub import STUBS, load_single_user_server
load_single_user_server()
for extension in ("jupyterlab.labapp", "nbdime.webapp.nb_server_extension"):
    import_module(extension)
"""


def test_the_home_is_not_read_before_it_was_checked(tmp_path: Path) -> None:
    run_python(f"""
import os
os.environ |= {{"HOME": {str(tmp_path)!r}, "LAB_SCRATCH": {str(tmp_path / "scratch")!r}}}
from jupyter_core import paths
def fail():
    raise AssertionError("the home may hang")
paths.get_home_dir = fail
from lsstlab import launcher
def stop(problem):
    raise SystemExit(0)
launcher.choose_home = stop
launcher.run_single_user_server([])
raise AssertionError("the home was not chosen")
""")


def test_a_spawned_lab_imports_nothing_that_it_never_uses() -> None:
    unused = {"sqlalchemy", "alembic", "IPython"}
    run_python(f"""{LOAD}
imported = {unused} & {{name.partition('.')[0] for name in sys.modules}}
assert not imported, imported
""")


def test_a_spawned_lab_imports_no_standalone_settings() -> None:
    unused = {"lsstlab.settings", "lsstlab.standalone", "lsstlab.standalone_config", "lsstlab.shared.secret_files"}
    run_python(f"""{LOAD}
imported = {unused} & set(sys.modules)
assert not imported, imported
""")


def test_stubbed_modules_can_be_imported_afterwards() -> None:
    run_python(f"""{LOAD}
assert not set(STUBS) & set(sys.modules)
import jupyterhub.orm, sqlalchemy
assert issubclass(jupyterhub.orm.User, object) and sqlalchemy.__version__
""")


def test_no_lock_has_the_slow_package_rfc3987_syntax() -> None:
    """Check that no lock file has the package rfc3987-syntax, whose import takes a second."""
    locks = [
        path for path in Path(__file__).parents[3].glob("*/requirements.txt") if "jupyter-events==" in path.read_text()
    ]
    assert {path.parent.name for path in locks} >= {"hub", "jupyterlab"}
    assert [path for path in locks if "rfc3987-syntax" in path.read_text()] == []

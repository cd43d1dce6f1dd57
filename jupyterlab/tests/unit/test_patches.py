"""Tests that the locked versions and the code of the patched projects are those for which the patches were written."""

from __future__ import annotations

import hashlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest
from labtesting.versions import fake_version
from lsstlab import _patches

LOCK = Path(__file__).parents[2] / "requirements.txt"
MODULES = [name for _, name, _ in pkgutil.iter_modules(_patches.__path__) if name != "guard"]
# Each upstream function that the patches replace or imitate, and a hash of its source code (the first 16 hex digits of
# the SHA-256). If an upgrade changes a function, read the new code, change or remove the patch, and write the new hash
# here.
REVIEWED = {
    "jupyter_server.base.handlers:APIHandler.update_api_activity": "d27ff6751cdb05fe",
    "jupyter_server.serverapp:ServerWebApplication.last_activity": "a510e806d4606260",
    "traitlets.config.application:Application.get_default_logging_config": "9cd29e1310b5db18",
    "jupyterlab_server.config:get_page_config": "e049d3ba90cc8992",
    "jupyterlab_server.config:get_static_page_config": "5ddf7454ed983e6e",
    "jupyterlab_server.settings_utils:_get_user_settings": "472b74d3c0741721",
    "jupyterlab_server.settings_utils:save_settings": "de5c5b8782c05cee",
    "jupyterhub.singleuser.extension:JupyterHubSingleUser.check_hub_version": "1665ef6bd3c9d5b1",
    "jupyterhub.log:log_request": "2cabe0099e0eefcd",
    "terminado.management:TermManagerBase.pty_read": "348dcdf950194a6b",
    "terminado.websocket:TermSocket.on_pty_read": "1987c09bca54c843",
    "tornado.http1connection:HTTP1Connection._finish_request": "e3d5be7a8e4cbc42",
    "tornado.iostream:IOStream.set_nodelay": "50093f99aff606a5",
}
APPLY = """
import inspect, logging
from types import SimpleNamespace
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.application import ExtensionApp
from tornado.iostream import IOStream
from jupyterlab_server import handlers, settings_handler, settings_utils
from lsstlab._patches import jupyter_server, jupyterhub, jupyterlab_server, terminado, tornado

page = handlers.get_page_config, settings_handler.save_settings, settings_utils._get_user_settings
jupyterlab_server.tolerate_broken_settings()
assert page == (handlers.get_page_config, settings_handler.save_settings, settings_utils._get_user_settings)
before = APIHandler.update_api_activity, ExtensionApp._log_formatter_cls, IOStream.set_nodelay
web_app = SimpleNamespace(last_activity="upstream's", settings={})
assert jupyter_server.replace_activity_rule(web_app, "ours") == web_app.last_activity == "upstream's"
jupyter_server.use_formatter_from_first_line(logging.Formatter)
tornado.keep_nodelay()
assert before == (APIHandler.update_api_activity, ExtensionApp._log_formatter_cls, IOStream.set_nodelay)
server = jupyterhub.load_single_user_server()
assert server.check_hub_version.__module__ == "jupyterhub.singleuser.extension"
import sqlalchemy, sys
assert "jupyterhub.orm" in sys.modules
terminado.create_terminal_writer(web_app)("text")
"""


def patches(name: str) -> ModuleType:
    """Return the module in `lsstlab._patches` with this name, which patches one project."""
    return import_module(f"lsstlab._patches.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_the_locked_version_is_a_tested_one(name: str) -> None:
    project = patches(name).PROJECT.replace("_", "-")
    (version,) = re.findall(rf"^{project}==(\S+)", LOCK.read_text(), re.MULTILINE)
    assert version in patches(name).TESTED


@pytest.mark.parametrize("name", MODULES)
def test_each_patched_project_has_reviewed_code(name: str) -> None:
    assert [where for where in REVIEWED if where.startswith(f"{name}.")]


@pytest.mark.parametrize(("where", "reviewed"), REVIEWED.items(), ids=REVIEWED)
def test_the_replaced_code_is_the_reviewed_one(where: str, reviewed: str) -> None:
    module, _, name = where.partition(":")
    source = inspect.getsource(attrgetter(name)(import_module(module)))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == reviewed


def test_with_untested_versions_no_patch_is_applied(tmp_path: Path) -> None:
    projects = [patches(name).PROJECT for name in MODULES]
    path = {"PYTHONPATH": str(fake_version(tmp_path, *projects))}
    done = subprocess.run(
        [sys.executable, "-c", APPLY], env=os.environ | path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "was not tested" in line]
    assert sorted(line.split()[1] for line in warnings) == sorted(projects)

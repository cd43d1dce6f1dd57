"""Tests of a standalone lab (the demo or a container of the image): kernels, stack, extensions, files in the home."""

from __future__ import annotations

import re

import pytest
from labtesting.labclient import LabClient

EMPTY_NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_the_lsst_kernel_runs_the_stack(lab: LabClient) -> None:
    with lab.kernel("lsst_stack") as kernel:
        output = kernel.execute(
            "import os, lsst.daf.butler as b\n"
            "print(b.Butler.__name__, os.environ['SETUP_LSST_DISTRIB'].split()[0], os.environ['DAF_BUTLER_DIR'])"
        )
    assert output.error == ""
    name, product, folder = output.stdout.split()
    assert (name, product) == ("Butler", "lsst_distrib")
    assert folder.endswith("lsst/daf/butler")


def test_the_plain_kernel_runs_without_the_stack(lab: LabClient) -> None:
    with lab.kernel("python3") as kernel:
        output = kernel.execute("import lsst.daf.butler")
        assert output.error.startswith("ModuleNotFoundError")
        assert kernel.execute("print(1 + 1)").stdout == "2\n"


def test_kernels_have_their_display_names(lab: LabClient) -> None:
    specs = lab.request("GET", "api/kernelspecs").json()["kernelspecs"]
    assert {spec["spec"]["display_name"] for spec in specs.values()} == {"LSST_Stack", "Python 3 (ipykernel)"}


def test_terminal_shows_how_to_set_up_the_stack(lab: LabClient) -> None:
    with lab.terminal() as terminal:
        greeting = terminal.read_until("LSST_Stack")
        load = next(line for line in greeting.splitlines() if "loadLSST.bash" in line).split(":", 1)[1].strip()
        terminal.type(f"{load} && setup lsst_distrib && echo set-up:$SETUP_LSST_DISTRIB")
        terminal.read_until("set-up:lsst_distrib")
        terminal.type("butler --help; echo status:$?")
        assert "register-instrument" in terminal.read_until("status:0")


def test_setup_names_a_missing_product(lab: LabClient) -> None:
    with lab.kernel("lsst_stack") as kernel:
        output = kernel.execute(
            "import subprocess as s\n"
            "done = s.run(['bash', '-c', 'setup afw'], capture_output=True, text=True)\n"
            "print(done.returncode, done.stderr)"
        )
    assert output.stdout.startswith("1 setup: afw is a product of lsst_distrib, but not in this stack")


def test_git_and_notebook_diffs_are_available(lab: LabClient) -> None:
    extensions = lab.request("GET", "lab/api/extensions").json()
    enabled = {extension["name"] for extension in extensions if extension["enabled"]}
    assert {"@jupyterlab/git", "nbdime-jupyterlab"} <= enabled
    assert lab.request("GET", "git/settings").json()["gitVersion"]
    lab.request("PUT", "api/contents/same.ipynb", json={"type": "notebook", "content": EMPTY_NOTEBOOK})
    diff = lab.request("POST", "nbdime/api/diff", json={"base": "same.ipynb", "remote": "same.ipynb"})
    assert diff.json()["diff"] == []


def test_user_setups_run_before_the_kernel(lab: LabClient) -> None:
    write(lab, "notebooks/mine/python/my_package.py", "answer = 42\n")
    write(lab, "notebooks/.user_setups", "setup -r ~/notebooks/mine\nexport FROM_SETUPS=seen\n")
    with lab.kernel("lsst_stack") as kernel:
        output = kernel.execute("import os, my_package; print(my_package.answer, os.environ['FROM_SETUPS'])")
    assert (output.stdout, output.stderr) == ("42 seen\n", "")


def test_failing_user_setups_are_shown_with_the_first_cell(lab: LabClient) -> None:
    write(lab, "notebooks/.user_setups", "setup no_such_product\n")
    try:
        with lab.kernel("lsst_stack") as kernel:
            first, second = kernel.execute("print(1)"), kernel.execute("print(2)")
    finally:
        write(lab, "notebooks/.user_setups", "")
    assert first.stdout == "1\n"
    assert ".user_setups ended with status 1" in first.stderr
    assert "no product no_such_product" in first.stderr
    assert (second.stdout, second.stderr) == ("2\n", "")


@pytest.mark.parametrize(
    ("setups", "shown"),
    [
        ("exit 3", "ended with status 3"),
        ("set -e; setup no_such_product", "no product no_such_product"),
        ("set -u; echo $NOT_SET", "NOT_SET"),
        ("unset PATH; hash -r", ""),
        ("if then", "syntax error"),
        ("here=/tmp; connection_file=/tmp; export here connection_file output=/tmp; false", "ended with status 1"),
        ("export LAB_SCRATCH=/tmp/elsewhere; unset HOME; read line; false", "ended with status 1"),
        ("head -c 300000 /dev/zero | tr '\\0' x; false", "xxxx"),
        ("export PATH=/usr/bin:$PATH", ""),
    ],
)
def test_kernel_starts_despite_failing_user_setups(lab: LabClient, setups: str, shown: str) -> None:
    write(lab, "notebooks/.user_setups", f"{setups}\n")
    try:
        with lab.kernel("lsst_stack") as kernel:
            output = kernel.execute(
                "import lsst.daf.butler\n"
                f"print(get_ipython().history_manager.hist_file.startswith({lab_scratch(lab)!r}))"
            )
    finally:
        write(lab, "notebooks/.user_setups", "")
    assert (output.error, output.stdout) == ("", "True\n")
    assert shown in output.stderr
    assert bool(output.stderr) == bool(shown)


def test_home_contains_no_database_and_no_socket(lab: LabClient) -> None:
    lab.request("PUT", "api/contents/trusted.ipynb", json={"type": "notebook", "content": EMPTY_NOTEBOOK})
    lab.request("POST", "api/contents/trusted.ipynb/trust")
    lab.request("PUT", "lab/api/workspaces/default", json={"data": {}, "metadata": {"id": "default"}})
    with lab.kernel("python3") as kernel:
        output = kernel.execute(
            "import pathlib, stat\n"
            "for p in pathlib.Path.home().rglob('*'):\n"
            "    if p.suffix in {'.db', '.sqlite', '.jupyterlab-workspace'} or stat.S_ISSOCK(p.lstat().st_mode):\n"
            "        print(p)\n"
            "import os; print(*os.listdir(os.environ['LAB_SCRATCH']))"
        )
    assert {"ipython_history.sqlite", "nbsignatures.db", "workspaces"} <= set(output.stdout.split())
    assert len(output.stdout.splitlines()) == 1, "the home contains a database or a socket"


def test_garbage_collection_runs_after_the_start(lab: LabClient) -> None:
    # The server's metrics contain the number of garbage collections. The request for the metrics can also cause a
    # collection, so the test only waits until the number increases.
    def collections() -> float:
        metrics = lab.http.get(f"{lab.base}metrics").text
        counts = re.findall(r'^python_gc_collections_total{generation="0"} (\S+)', metrics, re.MULTILINE)
        return float(counts[0])

    before = collections()
    for _ in range(200):
        lab.request("GET", "api/contents")
        if collections() > before:
            return
    raise AssertionError("no garbage collection in 200 requests")


def test_only_the_user_can_open_sockets_of_kernels(lab: LabClient) -> None:
    with lab.kernel("python3") as kernel:
        output = kernel.execute(
            "import json, ipykernel, os, stat\n"
            "file = ipykernel.get_connection_file()\n"
            "print(json.load(open(file))['transport'], oct(os.stat(os.path.dirname(file)).st_mode & 0o777))"
        )
    assert output.stdout == "ipc 0o700\n"


def lab_scratch(lab: LabClient) -> str:
    """Return the path of the lab's scratch folder, which code in a kernel prints."""
    with lab.kernel("python3") as kernel:
        return kernel.execute("import os; print(os.environ['LAB_SCRATCH'])").stdout.strip()


def write(lab: LabClient, path: str, text: str) -> None:
    """Write a file into the home with code that runs in a kernel. Create the parent folders of the file."""
    with lab.kernel("python3") as kernel:
        output = kernel.execute(
            f"import pathlib; p = pathlib.Path.home() / {path!r}; p.parent.mkdir(parents=True, exist_ok=True)\n"
            f"p.write_text({text!r})"
        )
    assert output.error == ""

"""Tests of the lab's image: start, login, UIDs, errors at the start, and contents."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from labtesting.container import Container, engine, run_container
from labtesting.hub_stub import run_hub_stub
from labtesting.labclient import LabClient
from lsstlab.settings import PASSWORD_MIN

# Options of a container with the restrictions of a lab's pod (Pod Security Standard `restricted`). The UID is not in
# the image's /etc/passwd.
SPAWNED: dict[str, Any] = {
    "user": "123456:123456",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": "mode=1777", "/home/vera": "uid=123456,gid=123456,mode=700"},
}


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of the lab's image under test, from the option `--image`."""
    name: str = request.config.getoption("--image")
    return name


def run_refused(image: str, **options: Any) -> str:
    """Start the image with wrong options, check that it exits with status 1, and return its output."""
    with run_container(image, **options) as container:
        assert container.docker.wait(timeout=180)["StatusCode"] == 1
        return container.log()


def test_standalone_image_prints_a_login_and_drops_root(image: str) -> None:
    with run_container(image, ports=[8000]) as container:
        url = f"http://127.0.0.1:{container.port(8000)}"
        shown = wait_for_banner(container)
        assert container.log().rstrip().endswith(shown[2]), "the login is not the last output"
        assert container.log().count("\n") < 10, "the output has more than a few lines"
        assert shown[1] == "demo"
        assert len(shown[2]) >= PASSWORD_MIN
        with LabClient(url, shown[1]) as client:
            assert client.log_in(shown[2]).status_code == 200
        assert uids_of_processes(container) - {0} == {1000}


def wait_for_banner(container: Container) -> re.Match[str]:
    """Wait until a standalone container prints its banner. Return a match with the user name and the password."""
    deadline = time.monotonic() + 180
    while not (shown := re.search(r"user: +(\S+)\s+password: +(\S+)", container.log())):
        assert time.monotonic() < deadline, container.log()
        time.sleep(0.05)
    return shown


def uids_of_processes(container: Container) -> set[int]:
    """Return the UIDs of all processes in a container. UID 0 is always one of them, because tini runs as root."""
    table = container.docker.top(ps_args="-eo pid,uid,args")
    return {int(row[1]) for row in table["Processes"]}


def test_orphaned_processes_are_reaped(image: str) -> None:
    with run_hub_stub() as hub, run_container(image, environment=hub.environment("vera"), **SPAWNED) as container:
        container.wait_for_page(hub.lab_url(container.address, "api"))
        container.execute("bash", "-c", "for i in 1 2 3; do (sleep 0.1 &) ; done; sleep 0.5")
        status, zombies = container.execute("bash", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status || true")
        assert (status, zombies) == (0, "")


def test_container_stops_at_once(image: str) -> None:
    with run_container(image, ports=[8000]) as container:
        container.wait_for_page(f"http://127.0.0.1:{container.port(8000)}/hub/login")
        container.docker.stop(timeout=30)
        assert container.docker.wait()["StatusCode"] == 0


def test_user_can_install_packages_for_the_stack(image: str) -> None:
    script = (
        ". /opt/lsst/software/stack/loadLSST.bash && cd && pip install --quiet --no-deps iniconfig 2>&1 && "
        "python -c 'import iniconfig; print(iniconfig.__file__)' && ! /opt/lab/bin/python -c 'import iniconfig' 2>&1"
    )
    environment = {"HOME": "/home/vera"}
    with run_container(image, "bash", "-c", script, environment=environment, **SPAWNED) as container:
        container.docker.wait(timeout=100)
        assert "/home/vera/.local/lib/" in container.log()
        assert "ModuleNotFoundError" in container.log(), "the package is visible to the lab's own Python"


def test_a_restarted_container_keeps_its_user_and_home(image: str) -> None:
    login = {"LAB_USER": "vera", "LAB_PASSWORD": "a long enough one"}
    with run_container(image, environment=login, ports=[8000]) as container:
        container.wait_for_page(f"http://127.0.0.1:{container.port(8000)}/hub/login")
        container.execute("touch", "/home/vera/kept", user="vera")
        container.docker.restart(timeout=20)
        container.wait_for_page(f"http://127.0.0.1:{container.port(8000)}/hub/login")
        assert container.execute("stat", "-c", "%U", "/home/vera/kept") == (0, "vera\n")


def test_a_mounted_home_keeps_its_owner(image: str) -> None:
    home = {"/home/demo": "uid=4321,gid=4321,mode=700"}
    with run_container(image, ports=[8000], tmpfs=home) as container:
        container.wait_for_page(f"http://127.0.0.1:{container.port(8000)}/hub/login")
        assert uids_of_processes(container) - {0} == {4321}


def test_password_is_in_no_other_environment_and_no_log(image: str) -> None:
    password = "not-to-be-seen-anywhere"
    with run_container(image, ports=[8000], environment={"LAB_PASSWORD": password}) as container:
        container.wait_for_page(f"http://127.0.0.1:{container.port(8000)}/hub/login")
        status, environments = container.execute(
            "bash", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline", user="demo"
        )
        assert (status, environments.count("LAB_IP")) == (1, 3), "expected the hub, the proxy, and this shell"
        # The container's environment contains the password. Two processes have this environment: the shell of this
        # test, and the first process. The first process has changed its UID, so only root can read its environment. So
        # the password must appear once, from the shell.
        assert environments.count(password) == 1
        assert password not in container.log()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"environment": {"LAB_PASSWORD": "abc"}}, "LAB_PASSWORD: found 3 characters, wanted 8 or more"),
        ({"environment": {"LAB_USER": "root"}}, "LAB_USER: found 'root', a user or group of the image"),
        ({"environment": {"LAB_USER": "Vera R"}}, "LAB_USER: found 'Vera R', wanted a user name"),
        ({"user": "1234"}, "it must start as root"),
        ({"environment": {"LAB_USER": "nobody"}}, "LAB_USER: found 'nobody', a user or group of the image"),
        ({"environment": {"LAB_USER": "staff"}}, "LAB_USER: found 'staff', a user or group of the image"),
        ({"environment": {"LAB_LOGIN": "password"}}, "LAB_LOGIN: found password"),
        ({"environment": {"LAB_SCRATCH": "scratch"}}, "LAB_SCRATCH: found scratch, wanted an absolute path"),
        ({"environment": {"LAB_SCRATCH": "/proc/x"}}, "LAB_SCRATCH: cannot create /proc/x"),
        ({"tmpfs": {"/home/demo": "uid=33,mode=700"}}, "/home/demo belongs to UID 33, which is www-data in the image"),
        ({"tmpfs": {"/home/demo": "uid=1000,mode=000"}}, "/home/demo: demo (UID 1000) cannot write to it"),
        ({"read_only": True}, "cannot create the user"),
        ({"cap_drop": ["ALL"]}, "cannot create the user"),
        ({"environment": {"LAB_PORT": "8081"}}, "LAB_PORT: found 8081"),
        ({"security_opt": ["no-new-privileges"]}, "leave out no-new-privileges"),
    ],
)
def test_refused_start_names_the_reason_in_one_line(image: str, options: dict[str, Any], message: str) -> None:
    output = run_refused(image, **options)
    assert message in output
    assert output.count("\n") == 1


def test_spawned_lab_runs_as_any_uid_without_privileges(image: str) -> None:
    with run_hub_stub() as hub, run_container(image, environment=hub.environment("vera"), **SPAWNED) as container:
        container.wait_for_page(hub.lab_url(container.address, "api"))
        status, facts = container.execute(
            "bash", "-c", "id -u; grep CapEff /proc/1/status; grep NoNewPrivs /proc/1/status; touch /opt/lab/x"
        )
        assert facts.split("\n")[:3] == ["123456", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"]
        assert (status, "Read-only file system" in facts) == (1, True)


def test_stack_kernel_runs_without_privileges(image: str) -> None:
    code = "import os, lsst.daf.butler as b; print(b.Butler.__name__, os.getuid())"
    run = (
        "from jupyter_client.manager import start_new_kernel as start\n"
        "manager, client = start(kernel_name='lsst_stack')\n"
        f"client.execute_interactive({code!r}, timeout=180)\n"
        "client.stop_channels(); manager.shutdown_kernel(now=True)"
    )
    environment = {"HOME": "/home/vera"}
    with run_container(image, "python", "-c", run, environment=environment, **SPAWNED) as container:
        container.docker.wait(timeout=100)
        # The last line is the output of the code. The lines before it are a warning of the kernel about TCP, which
        # jupyter_client uses outside a lab.
        assert container.log().splitlines()[-1] == "Butler 123456"


def test_bytecode_is_compiled_in_the_image(image: str) -> None:
    count = (
        "for f in /opt/lab/lib /opt/lsst/software/stack/python/lib; do "
        "find $f -name '*.py' | wc -l; find $f -name '*.pyc' | wc -l; done"
    )
    with run_container(image, "bash", "-c", count) as container:
        container.docker.wait(timeout=180)
        lab_sources, lab_compiled, stack_sources, stack_compiled = map(int, container.log().split())
    # Some packages contain files for tests that Python cannot compile, so less than 100 % of the files have bytecode.
    assert lab_compiled > 0.98 * lab_sources > 1000
    assert stack_compiled > 0.98 * stack_sources > 1000


def test_node_is_not_on_the_path_of_labs(image: str) -> None:
    # If `node` is in the PATH, the import of jupyterlab.labapp runs `node`. This takes 0.28 s at each start of a lab.
    with run_container(image, "bash", "-c", "command -v node || echo none") as container:
        container.docker.wait(timeout=180)
        assert container.log() == "none\n"


def test_the_image_is_labelled(image: str) -> None:
    labels = engine().images.get(image).labels
    assert labels["org.opencontainers.image.title"] == "lsstsqre/jupyterlabdemo"
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert {"description", "source", "licenses", "version"} <= {name.rsplit(".", 1)[1] for name in labels}

"""The project's sessions: `nox -l` lists them, `nox -s NAME` runs one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).parent))  # nox does not put the checkout on the import path

from tools.components import image_name
from tools.parts import END_WITH_PARENT

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "typing", "test"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
if not os.access(ROOT, os.W_OK):
    sys.exit(f"nox: cannot write to {ROOT}, where the sessions install packages: clone to another folder")
# A component is a folder with a Dockerfile. Its subfolders decide which sessions include it: docs/dev/components.md.
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("*/Dockerfile"))
# `testing` has tests of its own, because the tests of all components depend on its fakes and fixtures.
TESTED = sorted(path.parents[1].name for path in ROOT.glob("*/tests/requirements.txt"))
WITH_IMAGE_TESTS = sorted(path.parents[1].name for path in ROOT.glob("*/tests/image"))
WITH_FAULT_TESTS = sorted(path.parents[1].name for path in ROOT.glob("*/tests/faults"))
# Cluster tests that belong to no component: their folder, and the component whose environment they run in.
COMMON = {
    "doctor": ("admin/tests/doctor/cluster", "hub"),
    "manifests": ("tests/manifests/cluster", "testing"),
    "nfs": ("tests/nfs", "testing"),
    "system": ("tests/system", "testing"),
}
WITH_CLUSTER_TESTS = [*sorted(path.parents[1].name for path in ROOT.glob("*/tests/cluster")), *COMMON]
BENCHMARKS = sorted(path.stem for path in ROOT.glob("benchmarks/*.py"))
# Most tests wait for a process, so run more tests than a CI machine has CPUs. The tests of one file run in order.
PARALLEL = ["--dist", "loadfile", "-n", "4"]
# Run fewer tests of images at a time than PARALLEL, because each container and each virtual machine with an NFS client
# needs a CPU.
PARALLEL_CONTAINERS = ["--dist", "loadfile", "-n", "2"]
TOOLS = "tools/requirements.txt"
LINTERS = "tools/lint/requirements.txt"
ADMIN = "admin/requirements.txt"
# The packages of other folders that a component's tests import. The tests of `labadmin configure` run with those of
# `testing`: each component reads the settings that `configure` writes. The cluster tests of the doctor deploy the hub.
ALSO_IMPORTED = {
    "filebeat": ["logstashrmq"],
    "hub": ["admin"],
    "testing": ["admin", "fileserver", "hub", "logstashrmq"],
}


def each(names: list[str]) -> list[nox.param]:
    """Parametrize a session by component: `nox -s "build(hub)"` runs the session for the hub only."""
    return [nox.param(name, id=name) for name in names]


def install(session: nox.Session, lock: str, *packages: str) -> None:
    """Install the packages of a lock and check their hashes, then install our own packages (folders).

    Without `--no-deps`, the installer would resolve the dependencies again, and install the packages that uv.toml
    excludes.
    """
    # Compile the bytecode once. Otherwise, if PYTHONDONTWRITEBYTECODE is set, as on many CI systems, each start of a
    # hub would take twice as long.
    session.install("--require-hashes", "--no-deps", "-r", lock, env={"UV_COMPILE_BYTECODE": "1"})
    if packages:
        session.install("--no-deps", *(arg for name in packages for arg in ("-e", f"./{name}")))


def own_packages(component: str) -> list[str]:
    """Return the folders of our packages that a component's tests import."""
    names = {component, "testing", *ALSO_IMPORTED.get(component, [])}
    return [name for name in sorted(names) if (ROOT / name / "pyproject.toml").exists()]


@nox.session
def demo(session: nox.Session) -> None:
    """Start a lab for one user on http://127.0.0.1:8000 (-- --help for options)."""
    try:
        install(session, TOOLS)
    except CommandFailed:
        session.error("cannot install the demo's tools from PyPI: check the network and try again")
    # After Ctrl-C the hub stops its labs and its proxy, which takes longer than nox's default of 0.3 s.
    command = [*END_WITH_PARENT, "python", "-m", "tools.demo", *session.posargs]
    session.run(*command, external=True, interrupt_timeout=5, terminate_timeout=20)


@nox.session(name="demo-logs")
def demo_logs(session: nox.Session) -> None:
    """Start RabbitMQ, the relay and a client that ships the lines of a file (-- --help for options)."""
    install(session, "logstashrmq/requirements.txt", "logstashrmq", "testing")
    command = [*END_WITH_PARENT, "python", "-m", "tools.demo_logs", *session.posargs]
    session.run(*command, external=True, interrupt_timeout=10, terminate_timeout=10)


@nox.session(name="read-logs")
def read_logs(session: nox.Session) -> None:
    """Show the log events of a RabbitMQ queue, and remove them from it (-- --help for options)."""
    install(session, "logstashrmq/requirements.txt", "logstashrmq")
    session.run("python", "-m", "tools.read_logs", *session.posargs)


@nox.session
def configure(session: nox.Session) -> None:
    """Write the ConfigMaps and Secrets of a site: -- site.toml (-- --help for options)."""
    install(session, ADMIN, "admin")
    session.run("labadmin", "configure", *session.posargs)


@nox.session
def doctor(session: nox.Session) -> None:
    """Check the deployment in kubectl's current context, and print each problem with its fix (-- --help)."""
    install(session, ADMIN, "admin")
    # After Ctrl-C the doctor removes its pod from the cluster.
    session.run("labadmin", "doctor", *session.posargs, interrupt_timeout=10, terminate_timeout=10)


@nox.session
def uninstall(session: nox.Session) -> None:
    """Remove the site from the cluster and keep its data: -- --yes (without it: print what would be deleted)."""
    install(session, ADMIN, "admin")
    session.run("labadmin", "uninstall", *session.posargs)


@nox.session
@nox.parametrize("component", each(COMPONENTS))
def build(session: nox.Session, component: str) -> None:
    """Build the container image of each component (needs a Docker engine)."""
    install(session, TOOLS)
    session.run("python", "-m", "tools.images", component, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style: ruff, yamllint, hadolint, shellcheck, actionlint, import-linter, our own rules."""
    install(session, LINTERS)
    session.run("python", "-m", "tools.lint", *session.posargs)


@nox.session
@nox.parametrize("component", each(TESTED))
def typing(session: nox.Session, component: str) -> None:
    """Check types with mypy in strict mode, with the packages that each component runs on."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    folders = [f"{component}/src", f"{component}/tests"]
    if component == "logstashrmq":  # these programs import packages of the relay
        folders += ["benchmarks/relay.py", "tools/demo_logs.py", "tools/read_logs.py"]
    if component == "fileserver":  # this benchmark imports fixtures of the fileserver's tests
        folders += ["benchmarks/fileserver.py"]
    if component == "hub":  # these files import fixtures of the hub's tests
        folders += [
            "benchmarks/scale.py",
            "benchmarks/spawn.py",
            *map(str, (ROOT / "admin/tests/doctor/cluster").glob("*.py")),
        ]
    if component == "testing":  # programs that belong to no component
        folders += ["noxfile.py", "shared", "tools", "admin", "benchmarks", "tests"]
    bases = [f"{name}/src" for name in own_packages(component)]
    session.run("mypy", *(name for name in folders if (ROOT / name).exists()), env={"MYPYPATH": ":".join(bases)})


@nox.session
@nox.parametrize("component", each(TESTED))
def test(session: nox.Session, component: str) -> None:
    """Run the fast tests of each component, with real servers and without a Docker engine."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    others = [f"--ignore={component}/tests/{name}" for name in ("image", "cluster", "faults")]
    # Tests that belong to no single component run with those of `testing`.
    common = ["admin/tests", "tests/manifests"]
    common += ["--ignore=admin/tests/doctor/cluster", "--ignore=tests/manifests/cluster"]
    more = common if component == "testing" else []
    session.run("pytest", f"{component}/tests", *more, *others, *PARALLEL, *session.posargs)


@nox.session(name="test-faults")
@nox.parametrize("component", each(WITH_FAULT_TESTS))
def test_faults(session: nox.Session, component: str) -> None:
    """Test each component while its dependencies fail (minutes, without a Docker engine)."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    session.run("pytest", f"{component}/tests/faults", *session.posargs)


@nox.session(name="test-image")
@nox.parametrize("component", each(WITH_IMAGE_TESTS))
def test_image(session: nox.Session, component: str) -> None:
    """Test each component's image in a real container (needs a Docker engine)."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    # `test` runs the same conformance suite against the checkout.
    suites = [f"{component}/tests/{name}" for name in ("image", "conformance")]
    session.run(
        "pytest",
        *(suite for suite in suites if (ROOT / suite).exists()),
        f"--image={image_name(component)}",
        *PARALLEL_CONTAINERS,
        *session.posargs,
    )


@nox.session(name="test-cluster")
@nox.parametrize("component", each(WITH_CLUSTER_TESTS))
def test_cluster(session: nox.Session, component: str) -> None:
    """Test each component on the cluster of KUBECONFIG, whose nodes have the images."""
    tests, environment = COMMON.get(component, (f"{component}/tests/cluster", component))
    install(session, f"{environment}/tests/requirements.txt", *own_packages(environment))
    session.run("pytest", tests, *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write all locks from requirements.in and package.json (-- --upgrade for the newest versions)."""
    install(session, TOOLS)
    session.run("python", "-m", "tools.lock", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site of docs/ into .site/, and check the links of all Markdown files."""
    install(session, "docs/requirements.txt")
    session.run("python", "-m", "tools.links")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session
def changelog(session: nox.Session) -> None:
    """Show the changelog of the next release (-- --version X --yes writes it)."""
    install(session, LINTERS)
    session.run("towncrier", "build", *(session.posargs or ["--draft", "--version", "next"]))


@nox.session
@nox.parametrize("name", each(BENCHMARKS))
def bench(session: nox.Session, name: str) -> None:
    """Run a benchmark, and print the ratio of each result to a reference."""
    needs = {"fileserver": "fileserver", "relay": "logstashrmq", "scale": "hub", "spawn": "hub"}
    component = needs.get(name, "jupyterlab")
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    # After Ctrl-C a benchmark removes its namespaces and images.
    command = ["python", "-m", f"benchmarks.{name}", *session.posargs]
    session.run(*command, interrupt_timeout=300, terminate_timeout=300)

"""The project's sessions: `nox -l` lists them, `nox -s NAME` runs one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).parent))  # nox is a program of its own: it does not know the checkout

from tools.components import image_name
from tools.parts import END_WITH_PARENT

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "typing", "test"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
if not os.access(ROOT, os.W_OK):
    sys.exit(f"nox: cannot write {ROOT}, where the sessions keep what they install: use a checkout of your own")
# A component is a folder with a Dockerfile; what else it has decides which sessions it takes part in.
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("*/Dockerfile"))
# `testing` is tested like a component: the fakes that the others lean on have to hold themselves.
TESTED = sorted(path.parents[1].name for path in ROOT.glob("*/tests/requirements.txt"))
WITH_IMAGE_TESTS = sorted(path.parents[1].name for path in ROOT.glob("*/tests/image"))
WITH_FAULT_TESTS = sorted(path.parents[1].name for path in ROOT.glob("*/tests/faults"))
# Cluster tests that belong to no component: their folder, and the component whose environment they run in.
COMMON = {
    "doctor": ("admin/tests/doctor/cluster", "hub"),
    "manifests": ("tests/manifests/cluster", "testing"),
    "system": ("tests/system", "testing"),
}
WITH_CLUSTER_TESTS = [*sorted(path.parents[1].name for path in ROOT.glob("*/tests/cluster")), *COMMON]
BENCHMARKS = sorted(path.stem for path in ROOT.glob("benchmarks/*.py"))
# Most tests wait for something that runs: more of them than there are processors, those of a file one after the other.
PARALLEL = ["--dist", "loadfile", "-n", "4"]
# Containers, and the machines that are NFS clients, want a processor each.
PARALLEL_CONTAINERS = ["--dist", "loadfile", "-n", "2"]
TOOLS = "tools/requirements.txt"
LINTERS = "tools/lint/requirements.txt"
ADMIN = "admin/requirements.txt"
# The packages of other folders that a component's tests import. The tests of `labadmin configure`, which run with those
# of `testing`, have every component read what it writes. The cluster tests of `labadmin doctor` deploy the hub.
ALSO_IMPORTED = {
    "filebeat": ["logstashrmq"],
    "hub": ["admin"],
    "testing": ["admin", "fileserver", "hub", "logstashrmq"],
}


def each(names: list[str]) -> list[nox.param]:
    """Parametrize a session by component, so that `nox -s "build(hub)"` names one."""
    return [nox.param(name, id=name) for name in names]


def install(session: nox.Session, lock: str, *packages: str) -> None:
    """Install a hashed lock, then our own packages (folders).

    A lock is whole, so nothing is resolved again: what uv.toml leaves out on purpose stays out.
    """
    # Compiled once: where Python is told to write no bytecode, as in many a CI, each hub that a test starts would take
    # twice as long.
    session.install("--require-hashes", "--no-deps", "-r", lock, env={"UV_COMPILE_BYTECODE": "1"})
    if packages:
        session.install("--no-deps", *(arg for name in packages for arg in ("-e", f"./{name}")))


def own_packages(component: str) -> list[str]:
    """Return the folders of our packages that a component's tests import: its own, the fixtures and others."""
    names = {component, "testing", *ALSO_IMPORTED.get(component, [])}
    return [name for name in sorted(names) if (ROOT / name / "pyproject.toml").exists()]


@nox.session
def demo(session: nox.Session) -> None:
    """Start a JupyterLab of your own on http://127.0.0.1:8000 (-- --help for options)."""
    try:
        install(session, TOOLS)
    except CommandFailed:
        session.error("no network? What the demo runs on could not be downloaded from PyPI: the lines above say why")
    # The hub takes its labs and its proxy down when it is interrupted: that takes longer than nox's 0.3 s.
    command = [*END_WITH_PARENT, "python", "-m", "tools.demo", *session.posargs]
    session.run(*command, external=True, interrupt_timeout=5, terminate_timeout=20)


@nox.session(name="demo-logs")
def demo_logs(session: nox.Session) -> None:
    """Start the way of the logs: RabbitMQ, the relay, and a client that ships a file's lines (-- --help)."""
    install(session, "logstashrmq/requirements.txt", "logstashrmq", "testing")
    command = [*END_WITH_PARENT, "python", "-m", "tools.demo_logs", *session.posargs]
    session.run(*command, external=True, interrupt_timeout=10, terminate_timeout=10)


@nox.session(name="read-logs")
def read_logs(session: nox.Session) -> None:
    """Take log events out of a queue of RabbitMQ, and show them (-- --help)."""
    install(session, "logstashrmq/requirements.txt", "logstashrmq")
    session.run("python", "-m", "tools.read_logs", *session.posargs)


@nox.session
def configure(session: nox.Session) -> None:
    """Write the ConfigMaps and Secrets of a site: -- site.toml (-- --help for options)."""
    install(session, ADMIN, "admin")
    session.run("labadmin", "configure", *session.posargs)


@nox.session
def doctor(session: nox.Session) -> None:
    """Examine the deployment that kubectl names, and print each problem with its fix (-- --help)."""
    install(session, ADMIN, "admin")
    # An interrupted run first removes its pod from the cluster.
    session.run("labadmin", "doctor", *session.posargs, interrupt_timeout=10, terminate_timeout=10)


@nox.session
@nox.parametrize("component", each(COMPONENTS))
def build(session: nox.Session, component: str) -> None:
    """Build the container image of each component (needs a Docker engine)."""
    install(session, TOOLS)
    session.run("python", "-m", "tools.images", component, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style: ruff, yamllint, hadolint, shellcheck, actionlint, import-linter."""
    install(session, LINTERS)
    session.run("python", "-m", "tools.lint", *session.posargs)


@nox.session
@nox.parametrize("component", each(TESTED))
def typing(session: nox.Session, component: str) -> None:
    """Check types: mypy, strict, against what each component really runs on."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    folders = [f"{component}/src", f"{component}/tests"]
    if component == "logstashrmq":  # they need what it runs on
        folders += ["benchmarks/relay.py", "tools/demo_logs.py", "tools/read_logs.py"]
    if component == "fileserver":  # it runs the pod as its tests do
        folders += ["benchmarks/fileserver.py"]
    if component == "hub":  # they deploy the hub as its tests do
        folders += [
            "benchmarks/scale.py",
            "benchmarks/spawn.py",
            *map(str, (ROOT / "admin/tests/doctor/cluster").glob("*.py")),
        ]
    if component == "testing":  # the project's own programs are checked once, here
        folders += ["noxfile.py", "shared", "tools", "admin", "benchmarks", "tests"]
    bases = [f"{name}/src" for name in own_packages(component)]
    session.run("mypy", *(name for name in folders if (ROOT / name).exists()), env={"MYPYPATH": ":".join(bases)})


@nox.session
@nox.parametrize("component", each(TESTED))
def test(session: nox.Session, component: str) -> None:
    """Test each component on real parts, fast, without a Docker engine."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    others = [f"--ignore={component}/tests/{name}" for name in ("image", "cluster", "faults")]
    # What belongs to no component, or to all, is tested once, with `testing`.
    common = ["admin/tests", "tests/manifests"]
    common += ["--ignore=admin/tests/doctor/cluster", "--ignore=tests/manifests/cluster"]
    more = common if component == "testing" else []
    session.run("pytest", f"{component}/tests", *more, *others, *PARALLEL, *session.posargs)


@nox.session(name="test-faults")
@nox.parametrize("component", each(WITH_FAULT_TESTS))
def test_faults(session: nox.Session, component: str) -> None:
    """Test what becomes of a component when all around it fails (minutes, without a Docker engine)."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    session.run("pytest", f"{component}/tests/faults", *session.posargs)


@nox.session(name="test-image")
@nox.parametrize("component", each(WITH_IMAGE_TESTS))
def test_image(session: nox.Session, component: str) -> None:
    """Test each component's image in a real container (needs a Docker engine)."""
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    # The conformance suite is the one that `test` runs against the checkout.
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
    """Test each component on the Kubernetes that KUBECONFIG names, which has its images."""
    tests, environment = COMMON.get(component, (f"{component}/tests/cluster", component))
    install(session, f"{environment}/tests/requirements.txt", *own_packages(environment))
    session.run("pytest", tests, *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write every lock anew from its requirements.in or package.json (-- --upgrade for newest)."""
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
    """Show what the next release's changelog says (-- --version X --yes writes it)."""
    install(session, LINTERS)
    session.run("towncrier", "build", *(session.posargs or ["--draft", "--version", "next"]))


@nox.session
@nox.parametrize("name", each(BENCHMARKS))
def bench(session: nox.Session, name: str) -> None:
    """Measure against a named reference, as ratios (nothing depends on the figures)."""
    needs = {"fileserver": "fileserver", "relay": "logstashrmq", "scale": "hub", "spawn": "hub"}
    component = needs.get(name, "jupyterlab")
    install(session, f"{component}/tests/requirements.txt", *own_packages(component))
    session.run("python", "-m", f"benchmarks.{name}", *session.posargs)

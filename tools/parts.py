"""Install JupyterLab, the LSST stack, the proxy and the hub into `.demo/`, with the scripts that build the images.

The demo, the tests and the benchmarks share these parts. A part is installed again only if its inputs have changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".demo"
# With Debian's setpriv the kernel stops a process when its parent has ended, even if the parent was killed.
END_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


class PartsError(Exception):
    """A part cannot be installed. The message states the reason in one line."""


@dataclass(frozen=True)
class Part:
    """A part of the demo. The script `COMPONENT/install/NAME FOLDER PYTHON` installs it.

    Attributes
    ----------
    name
        Name of the script and of the folder.
    title
        Text for the terminal.
    inputs
        Files and folders of the component from which the part is installed.
    component
        Folder of the component in the checkout.
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    component: str = "jupyterlab"


LAB = Part("lab", "JupyterLab and JupyterHub", ("requirements.txt", "pyproject.toml", "src", "etc", "share"))
STACK = Part("stack", "the LSST stack from PyPI", ("stack",))
PROXY = Part("proxy", "the proxy (Node.js)", ("proxy",))
ALONE = (LAB, STACK, PROXY)
HUB = Part("hub", "the login with GitHub", ("requirements.txt", "pyproject.toml", "src"), "hub")


def fingerprint(part: Part) -> str:
    """Return a digest of the inputs of a part, and of the path of the checkout.

    Python environments contain absolute paths, so a moved checkout needs new ones.
    """
    digest = hashlib.sha256(f"{sys.version}\0{FOLDER}\0".encode())
    for name in (*part.inputs, "install"):
        path = ROOT / part.component / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def run_script(path: Path, title: str, *arguments: Path) -> None:
    """Run an `install/` script of a component.

    Raises
    ------
    PartsError
        Raised if the script fails. The message contains the end of its output.
    """
    script = subprocess.Popen(
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = script.communicate()
    except BaseException:
        os.killpg(script.pid, signal.SIGKILL)  # also kill the script's child processes, which would continue to write
        raise
    if script.returncode == 0:
        return
    output = " ".join(output.split())
    if any(word in output.lower() for word in ("dns", "connect", "network", "timed out", "enotfound")):
        raise PartsError(f"cannot download {title}: check the network and try again: {output[-300:]}")
    raise PartsError(f"{path.relative_to(ROOT)} failed: {output[-600:]}")


def make(part: Part) -> None:
    """Install one part into an empty folder, and store the digest of its inputs."""
    folder = FOLDER / part.name
    # Remove the digest first, so that an interrupted installation never counts as complete.
    (FOLDER / f"{part.name}.made").unlink(missing_ok=True)
    (FOLDER / "kernel.made").unlink(missing_ok=True)  # the kernel refers to the lab and the stack, so install it again
    shutil.rmtree(folder, ignore_errors=True)
    print(f"  {part.title} ...", end=" ", flush=True)
    start = time.monotonic()
    try:
        run_script(ROOT / part.component / "install" / part.name, part.title, folder, Path(sys.executable))
    except PartsError:
        print("failed", flush=True)
        raise
    (FOLDER / f"{part.name}.made").write_text(fingerprint(part))
    print(f"{time.monotonic() - start:.0f} s", flush=True)


def is_made(part: Part) -> bool:
    """Return whether a part is installed, and its inputs have not changed since the installation."""
    made = FOLDER / f"{part.name}.made"
    return made.exists() and made.read_text() == fingerprint(part)


@contextmanager
def only_one() -> Iterator[None]:
    """Hold a lock, so that a demo and a test run do not install the parts at the same time."""
    try:
        FOLDER.mkdir(exist_ok=True)
        file = (FOLDER / "lock").open("w")
    except OSError as error:
        message = f"cannot write {error.filename} ({error.strerror}): use a clone that you own"
        raise PartsError(message) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def in_use() -> Iterator[None]:
    """Hold a shared lock, so that the parts are not replaced while a hub uses them."""
    with (FOLDER / "in-use").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def check_unused() -> None:
    """Check that no running hub uses the parts.

    Raises
    ------
    PartsError
        Raised if a hub uses them.
    """
    with (FOLDER / "in-use").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartsError("a running demo uses parts that must be updated: stop that demo first") from None


def prepare(*parts: Part) -> Path:
    """Install the parts that are missing or out of date, print a line for each, and return the folder.

    Raises
    ------
    PartsError
        Raised if the folder cannot be written, or if a download fails.
    """
    with only_one():
        missing = [part for part in parts if not is_made(part)]
        if missing:
            check_unused()
            print(f"Installing into {FOLDER.name}/ (once):", flush=True)
        for part in missing:
            make(part)
        if {LAB, STACK} <= set(parts) and not (FOLDER / "kernel.made").exists():
            run_script(
                ROOT / "jupyterlab" / "install" / "kernel",
                "the LSST_Stack kernel",
                FOLDER / LAB.name,
                FOLDER / STACK.name,
            )
            (FOLDER / "kernel.made").touch()
    return FOLDER

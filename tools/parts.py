"""Make what a lab runs on in a folder of the checkout, from the scripts that make it in the image.

The demo, the tests and the benchmarks share it; it is made anew only when what it is made of changed.
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
# Debian's setpriv has the kernel end a process when the one that started it is gone, however it went.
END_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


class PartsError(Exception):
    """What the lab runs on cannot be made; the message says why, in one line."""


@dataclass(frozen=True)
class Part:
    """One thing to make: `COMPONENT/install/NAME FOLDER PYTHON`.

    Attributes
    ----------
    name
        The script's and the folder's.
    title
        What the person at the terminal reads.
    inputs
        Files and folders of the component that it is made from.
    component
        The folder of the checkout that it belongs to.
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
    """Give a digest of all that a part is made from; it changes with the checkout's place, too.

    Python environments hold absolute paths: a moved checkout needs new ones.
    """
    digest = hashlib.sha256(f"{sys.version}\0{FOLDER}\0".encode())
    for name in (*part.inputs, "install"):
        path = ROOT / part.component / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def run_script(path: Path, title: str, *arguments: Path) -> None:
    """Run one of the components' `install/` scripts, which makes what the title says.

    Raises
    ------
    PartsError
        It failed; the message holds what it said last.
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
        os.killpg(script.pid, signal.SIGKILL)  # and what it has started, which would go on writing
        raise
    if script.returncode == 0:
        return
    said = " ".join(output.split())
    if any(word in said.lower() for word in ("dns", "connect", "network", "timed out", "enotfound")):
        raise PartsError(f"no network? {title} could not be downloaded: {said[-300:]}")
    raise PartsError(f"{path.relative_to(ROOT)} failed: {said[-600:]}")


def make(part: Part) -> None:
    """Make one part, from scratch, and remember what it was made from."""
    folder = FOLDER / part.name
    # First, so that what is interrupted is never taken for made.
    (FOLDER / f"{part.name}.made").unlink(missing_ok=True)
    (FOLDER / "kernel.made").unlink(missing_ok=True)  # the kernel joins lab and stack
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
    """Tell whether a part is there, made from what the checkout holds now."""
    made = FOLDER / f"{part.name}.made"
    return made.exists() and made.read_text() == fingerprint(part)


@contextmanager
def only_one() -> Iterator[None]:
    """Keep a demo and a test run that start at the same time from making the parts twice."""
    try:
        FOLDER.mkdir(exist_ok=True)
        file = (FOLDER / "lock").open("w")
    except OSError as error:
        message = f"cannot write {error.filename} ({error.strerror}): run it in a checkout that is yours"
        raise PartsError(message) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def in_use() -> Iterator[None]:
    """Keep the parts from being made anew under a hub that runs on them."""
    with (FOLDER / "in-use").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def check_unused() -> None:
    """Refuse to make anew what a hub runs on.

    Raises
    ------
    PartsError
        One does.
    """
    with (FOLDER / "in-use").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartsError("a demo runs on parts that are to be made anew: stop it first") from None


def prepare(*parts: Part) -> Path:
    """Make what is missing or out of date, with a line of progress for each; give the folder.

    Raises
    ------
    PartsError
        The folder cannot be written, or something could not be downloaded.
    """
    with only_one():
        missing = [part for part in parts if not is_made(part)]
        if missing:
            check_unused()
            print(f"Making what the lab runs on in {FOLDER.name}/ (once):", flush=True)
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

"""Benchmark of the lab against stock JupyterLab of the same versions: `nox -s "bench(lab)"`.

Stock is the result of `pip install jupyterhub jupyterlab jupyterlab-git nbdime` with compiled bytecode, started as the
documentation of JupyterHub and JupyterLab describes. Stock has Node.js on its PATH if Node.js is installed, because
JupyterHub's proxy needs Node.js. Runs of our lab and of stock alternate, so that a slower phase of the machine affects
both. Medians are compared.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from labtesting.hub_stub import HubStub, run_hub_stub
from labtesting.labclient import Kernel, LabClient

from tools.demo import free_port
from tools.parts import ALONE, FOLDER, ROOT, prepare

LOCK = ROOT / "jupyterlab" / "requirements.txt"
PACKAGES = ["jupyterhub", "jupyterlab", "jupyterlab-git", "nbdime", "ipykernel"]
TOKEN = "benchmark"  # noqa: S105


class DirectClient(LabClient):
    """A client of a JupyterLab that runs without a hub."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "")
        self.http.headers["Authorization"] = f"token {TOKEN}"

    @property
    def base(self) -> str:
        """The path of JupyterLab's URL. It has no prefix, because no hub is used."""
        return "/"

    def _xsrf(self, path: str) -> str:
        return ""


def make_stock() -> Path:
    """Install stock JupyterLab with the versions of our lock file, unless it is installed.

    Return the installation's folder.
    """
    folder = FOLDER / "stock"
    made = folder / "made-from"
    if not made.exists() or made.read_text() != LOCK.read_text():
        print("installing stock JupyterLab ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["uv", "venv", "--quiet", "--no-project", folder], check=True)
        versions = re.sub(r"\\\n *--hash=\S+", "", LOCK.read_text())
        (folder / "versions.txt").write_text(versions)
        into: list[str | Path] = ["--python", folder / "bin" / "python", "--constraints", folder / "versions.txt"]
        subprocess.run(
            ["uv", "pip", "install", "--quiet", "--no-config", "--compile-bytecode", *into, *PACKAGES], check=True
        )
        made.write_text(LOCK.read_text())
    return folder


def path_without_node() -> str:
    """Return the PATH of this process without Node.js, because the lab's image has no Node.js.

    If a folder of the PATH contains `node`, a new folder replaces it. The new folder has links to all other programs.
    """
    folders = []
    for number, folder in enumerate(map(Path, os.environ["PATH"].split(":"))):
        if (folder / "node").exists():
            links = FOLDER / "path-without-node" / str(number)
            shutil.rmtree(links, ignore_errors=True)
            links.mkdir(parents=True)
            for program in folder.iterdir():
                if program.name not in {"node", "nodejs"}:
                    (links / program.name).symlink_to(program)
            folder = links
        folders.append(str(folder))
    return ":".join(folders)


@contextmanager
def process(command: list[str | Path], environ: dict[str, str]) -> Iterator[None]:
    """Run a command with a temporary home until the end of the block."""
    with TemporaryDirectory() as home:
        running = subprocess.Popen(
            command,
            cwd=home,
            env=os.environ | environ | {"HOME": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def seconds_until_answer(url: str) -> float:
    """Wait until a request for the URL has status 200, and return the seconds."""
    start = time.perf_counter()
    while time.perf_counter() - start < 60:
        try:
            if httpx.get(url).status_code == 200:
                return time.perf_counter() - start
        except httpx.TransportError:
            time.sleep(0.01)
    raise TimeoutError(f"{url} did not answer with status 200 within 60 s")


def start_seconds(command: list[str | Path], environ: dict[str, str], hub: HubStub) -> float:
    """Start a single-user server with the stub of the hub, and return the seconds until the server answers."""
    port = free_port()
    with process([*command, "--allow-root"], hub.environment("vera", port) | environ):
        return seconds_until_answer(hub.lab_url("127.0.0.1", "api", port=port))


@contextmanager
def direct_lab(command: list[str | Path], environ: dict[str, str]) -> Iterator[DirectClient]:
    """Start a JupyterLab without a hub, and yield a client."""
    port = free_port()
    options = ["--allow-root", "--no-browser", f"--port={port}", f"--IdentityProvider.token={TOKEN}"]
    client = DirectClient(f"http://127.0.0.1:{port}")
    with process([*command, *options], environ), client:
        seconds_until_answer(f"{client.url}/api")
        yield client


def message_seconds(kernel: Kernel, count: int = 30) -> float:
    """Return the median time from sending a cell until the reply has arrived and the kernel is idle."""
    return statistics.median(timed(lambda: kernel.execute("1")) for _ in range(count))


def kernel_seconds(client: DirectClient, name: str) -> float:
    """Return the time from the request for a kernel until the kernel has sent its first answer."""
    start = time.perf_counter()
    with client.kernel(name):
        return time.perf_counter() - start


def timed(action: Callable[[], object]) -> float:
    """Run a function, and return the seconds that it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def report(title: str, pairs: list[tuple[float, float]], reference: str, goal: float) -> None:
    """Print a row with the medians of our lab and of the reference, and the ratio of the medians."""
    milliseconds = [1000 * statistics.median(values) for values in zip(*pairs, strict=True)]
    ratio = milliseconds[0] / milliseconds[1]
    print(
        f"{title:<34} {milliseconds[0]:8.1f} ms  {reference:<18} {milliseconds[1]:8.1f} ms  "
        f"ratio {ratio:.2f}  goal {goal:.2f}",
        flush=True,
    )


def main() -> None:
    """Measure our lab and stock JupyterLab alternately, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="runs of each (7)")
    runs = range(parser.parse_args().runs)
    stock, lab = make_stock() / "bin", prepare(*ALONE) / "lab" / "bin"
    ours_environ = {"PATH": path_without_node()}
    stock_environ = {"PATH": f"{stock}:{os.environ['PATH']}"}
    print(f"node on stock's PATH: {shutil.which('node') or 'none'}")

    with run_hub_stub("127.0.0.1") as hub:
        pairs = [
            (
                start_seconds([lab / "lab"], ours_environ, hub),
                start_seconds([stock / "jupyterhub-singleuser"], stock_environ, hub),
            )
            for _ in runs
        ]
    report("single-user server answers", pairs, "stock", 0.40)

    with (
        direct_lab([lab / "lab", "jupyter-lab"], ours_environ) as our_client,
        direct_lab([stock / "jupyter-lab"], stock_environ) as stock_client,
    ):
        with our_client.kernel("python3") as our_kernel, stock_client.kernel("python3") as stock_kernel:
            pairs = [(message_seconds(our_kernel), message_seconds(stock_kernel)) for _ in runs]
        report("kernel message, round trip", pairs, "stock", 0.15)
        pairs = [(kernel_seconds(our_client, "lsst_stack"), kernel_seconds(our_client, "python3")) for _ in runs]
        report("LSST_Stack kernel ready", pairs, "python3 kernel", 1.30)
        pairs = [(kernel_seconds(our_client, "lsst_stack"), kernel_seconds(stock_client, "python3")) for _ in runs]
        report("LSST_Stack kernel ready", pairs, "stock's python3", 1.30)


if __name__ == "__main__":
    main()

"""Benchmark of JupyterLab in Chromium through nginx and the proxy: `nox -s "bench(nginx)"`.

nginx is compared with the proxy alone, and with stock JupyterLab (as in `benchmarks.lab`) without a proxy. nginx runs
from the image (`nox -s "build(nginx)"`, needs a Docker engine). Runs of the three alternate, so that a slower phase of
the machine affects all. Medians are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from labtesting.browser import open_browser
from labtesting.edge import run_edge
from labtesting.labclient import LabClient
from playwright.sync_api import Browser, BrowserContext, StorageState

from benchmarks.lab import TOKEN, direct_lab, make_stock, message_seconds
from tools.components import image_name
from tools.demo import USER, Hub, free_port
from tools.parts import ALONE, prepare

LAUNCHER = ".jp-LauncherCard"
NAMES = ("nginx and proxy", "proxy alone", "stock, direct")


@dataclass(frozen=True)
class Target:
    """A JupyterLab to measure, with a client and a browser that are logged in.

    Attributes
    ----------
    page
        URL of JupyterLab.
    client
        A client that is logged in and has a running lab.
    state
        Cookies of a browser that is logged in.
    """

    page: str
    client: LabClient
    state: StorageState


@dataclass(frozen=True)
class Load:
    """The cost of loading JupyterLab's page in a browser.

    Attributes
    ----------
    bytes, requests
        Received bytes and requests until the network was idle. Answers from the browser's cache do not count.
    seconds
        Time until the launcher was visible.
    """

    bytes: float
    requests: int
    seconds: float


def load(context: BrowserContext, url: str) -> Load:
    """Load JupyterLab in a new page of a browser context, and return the cost."""
    page = context.new_page()
    sizes: list[float] = []
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    # encodedDataLength is the number of received bytes, including headers. It is 0 for answers from the browser's
    # cache.
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(LAUNCHER).first.wait_for(timeout=60_000)
    seconds = time.perf_counter() - start
    page.wait_for_load_state("networkidle")
    page.close()
    return Load(sum(sizes), sum(size > 0 for size in sizes), seconds)


def loads(browser: Browser, target: Target) -> tuple[Load, Load]:
    """Load JupyterLab with an empty browser cache, and then with the filled cache. Return the cost of both loads."""
    with browser.new_context(storage_state=target.state) as context:
        return load(context, target.page), load(context, target.page)


def log_in(browser: Browser, url: str, password: str) -> StorageState:
    """Log in with the password unless it is empty, wait for the launcher, and return the browser's cookies."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url)
        if password:
            page.get_by_label("Username").fill(USER)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
        page.locator(LAUNCHER).first.wait_for(timeout=60_000)
        state = context.storage_state()
    return {"cookies": state["cookies"]}


@contextmanager
def through(browser: Browser, hub: Hub, url: str, client: LabClient) -> Iterator[Target]:
    """Start the demo's lab with this client, log in with the browser at this URL, and yield the lab as a `Target`."""
    with client:
        client.log_in(hub.password)
        client.spawn()
        yield Target(f"{url}{client.base}lab", client, log_in(browser, url, hub.password))


@contextmanager
def targets(folder: Path) -> Iterator[tuple[Browser, list[Target]]]:
    """Start nginx, the hub, stock JupyterLab and a browser.

    Log in at each target, and yield the browser and the targets.
    """
    stock = make_stock() / "bin"
    hub = Hub(prepare(*ALONE), folder / "state", free_port())
    try:
        hub.wait_until_ready()
        address = hub.url.removeprefix("http://")
        with (
            run_edge(folder / "nginx", address, image=image_name("nginx")) as edge,
            open_browser(edge.fingerprint) as browser,
            direct_lab([stock / "jupyter-lab"], {"PATH": f"{stock}:{os.environ['PATH']}"}) as client,
            through(browser, hub, edge.url, LabClient(edge.url, USER, edge.trust)) as front,
            through(browser, hub, hub.url, LabClient(hub.url, USER)) as proxy,
        ):
            direct = Target(f"{client.url}/lab", client, log_in(browser, f"{client.url}/lab?token={TOKEN}", ""))
            yield browser, [front, proxy, direct]
    finally:
        hub.stop()


def report(title: str, values: list[float], unit: str, *goals: tuple[int, float]) -> None:
    """Print a row with the figures of the three targets.

    For each goal, print the ratio of nginx's figure to the figure of the target with this index.
    """
    figures = "  ".join(f"{value:9.1f}" for value in values)
    ratios = "  ".join(f"{values[0] / values[to]:.2f} of {NAMES[to]} (goal {goal:.2f})" for to, goal in goals)
    print(f"{title:<28} {figures} {unit:<4} {ratios}", flush=True)


def main() -> None:
    """Measure the first load, the second load and the round trip of a kernel message, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each (5)")
    runs = parser.parse_args().runs
    # Discard the log of nginx, which run_edge prints for tests.
    with redirect_stdout(StringIO()), TemporaryDirectory() as folder, targets(Path(folder)) as (browser, three):
        rounds = [[loads(browser, target) for target in three] for _ in range(runs)]
        kernels = [target.client.kernel("python3") for target in three]
        with kernels[0] as front, kernels[1] as proxy, kernels[2] as direct:
            trips = [[message_seconds(kernel) for kernel in (front, proxy, direct)] for _ in range(runs)]

    def median(number: int, name: str) -> list[float]:
        return [statistics.median(getattr(loaded[target][number], name) for loaded in rounds) for target in range(3)]

    print(f"{'':<28} {'  '.join(f'{name:>9}' for name in ('nginx', 'proxy', 'stock'))}")
    for number, title, goal in ((0, "first load", 0.28), (1, "second load", 0.35)):
        report(f"{title}: bytes", [value / 1000 for value in median(number, "bytes")], "kB", (2, goal))
        report(f"{title}: requests", median(number, "requests"), "")
        report(f"{title}: launcher", [value * 1000 for value in median(number, "seconds")], "ms", (2, 1.0))
    medians = [1000 * statistics.median(values) for values in zip(*trips, strict=True)]
    report("kernel message", medians, "ms", (1, 1.15), (2, 0.15))


if __name__ == "__main__":
    main()

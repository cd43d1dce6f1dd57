"""Benchmark of spawns of our hub against spawns of stock JupyterHub: `nox -s "bench(spawn)"`.

Both hubs run on the one-node cluster of KUBECONFIG, which has the project's images. Stock is JupyterHub with
KubeSpawner's defaults, a separate proxy and SQLite. The benchmark builds the images of stock with the same versions of
packages as ours (benchmarks/spawning/stock-hub), which needs a Docker engine. `--load` names the command that loads the
images into the cluster. Spawns on the two hubs alternate, and the other hub is idle.

The measurement starts with the click that requests a lab, and includes the progress page. It ends when the lab has
answered all requests that JupyterLab sends before it shows its launcher. If Chromium is installed, the time until the
launcher is visible in Chromium is measured, too. Chromium connects to the proxy of each hub without TLS, and to our hub
also through nginx, as users do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import trustme
from labtesting import cluster
from labtesting.browser import open_browser
from labtesting.certificates import Authority, fingerprint
from labtesting.cluster import LABS, KubectlError, kubectl
from labtesting.hub_process import wait_until
from playwright.sync_api import Browser

from benchmarks.progress import Progress, end_cleanly_on_sigterm
from benchmarks.spawning import stock
from benchmarks.spawning.observe import PHASES, Cpu, PodTimes, cpu
from benchmarks.spawning.person import STEPS, Person, SpawnError, log_in_by_name
from hub.tests.cluster.deployment import Deployment, deploy, run_github
from tools.components import ROOT
from tools.images import BuildError

GOAL = 0.6
HOST = "lab.example.org"
NOTE_LAUNCHER = """
new MutationObserver((_, observer) => {
  if (document.querySelector('.jp-LauncherCard')) {
    window.launcherSeen = Date.now();
    observer.disconnect();
  }
}).observe(document, {childList: true, subtree: true});
"""
# Pause in seconds after labs have stopped, because kubelet is still removing their containers
CALM_SECONDS = 3
FORM = {"image": "recommended", "size": "small"}
MARKS = (PHASES[0], STEPS[0], *PHASES[1:], *STEPS[1:])


@dataclass(frozen=True)
class Side:
    """One of the two hubs that the benchmark compares.

    Attributes
    ----------
    namespace, labs
        Namespace of the hub, and namespace of the labs.
    selector
        Label selector of the labs' pods.
    stop
        Function that stops the lab of a user.
    button
        Path of the page with the button that requests a lab, and the button's CSS selector.
    nginx
        URL of nginx in front of the hub, and the fingerprint of nginx's certificate. None if the hub has no nginx.
    """

    title: str
    url: str
    namespace: str
    labs: str
    selector: str
    people: Sequence[Person]
    stop: Callable[[str], object]
    button: tuple[str, str]
    nginx: tuple[str, str] | None = None

    def clear(self, people: Sequence[Person]) -> None:
        """Stop the labs of these users, and wait until no pod of a lab is left."""
        for person in people:
            self.stop(person.name)
        wait_until(
            lambda: not cluster.get("pods", namespace=self.labs, selector=self.selector), "all labs are gone", 120
        )
        time.sleep(CALM_SECONDS)


@dataclass
class Measured:
    """The measurements of one hub's spawns. Times are in seconds since the click.

    Attributes
    ----------
    marks
        For each of `MARKS` a list with the times of all spawns.
    cost
        For each round, the CPU time per spawn of the hub and of the node.
    last
        For each round, the time until the last user had a launcher.
    """

    marks: dict[str, list[float]] = field(default_factory=dict)
    cost: list[Cpu] = field(default_factory=list)
    last: list[float] = field(default_factory=list)

    def add(self, start: float, times: Sequence[Mapping[str, float]]) -> None:
        """Add the times of spawns. The labs were requested at the time `start`."""
        for spawn in times:
            for mark, at in spawn.items():
                self.marks.setdefault(mark, []).append(at - start)


def spawn_round(side: Side, people: Sequence[Person], into: Measured) -> None:
    """Measure a round: request labs for all users at the same time, wait for all launchers, and stop the labs."""
    ready = threading.Barrier(len(people) + 1)

    def click(person: Person) -> dict[str, float]:
        ready.wait()
        return person.spawn()

    with PodTimes(side.labs).watching() as pods, ThreadPoolExecutor(len(people)) as pool:
        before = cpu(side.namespace)
        spawns = [pool.submit(click, person) for person in people]
        start = time.monotonic()
        ready.wait()
        times = [spawn.result() for spawn in spawns]
        spent = cpu(side.namespace) - before
        # Kubernetes reports the last changes of a pod up to a second after the lab has answered.
        time.sleep(1.5)
    into.add(start, times)
    into.add(start, list(pods.times.values()))
    into.cost.append(Cpu(spent.hub / len(people), spent.node / len(people)))
    into.last.append(max(steps[STEPS[-1]] for steps in times) - start)
    side.clear(people)


def browser_seconds(browser: Browser, side: Side, url: str) -> float:
    """Request a lab in a logged-in browser with an empty cache. Return the seconds until the launcher is visible."""
    person, host = side.people[0], urlsplit(url).hostname
    context = browser.new_context()
    cookies = [cookie for cookie in person.http.cookies.jar if cookie.path.startswith("/hub")]
    context.add_cookies(
        [{"name": cookie.name, "value": cookie.value or "", "domain": host, "path": cookie.path} for cookie in cookies]
    )
    context.add_init_script(NOTE_LAUNCHER)
    page = context.new_page()
    path, button = side.button
    page.goto(f"{url}{path}")
    # JavaScript in the page clicks and measures. Playwright would delay the click until the button is stable, and would
    # poll for the launcher only every 0.5 s.
    start = page.evaluate("button => { document.querySelector(button).click(); return Date.now(); }", button)
    page.wait_for_function("window.launcherSeen", timeout=120_000)
    seconds: float = (page.evaluate("window.launcherSeen") - start) / 1000
    context.close()
    side.clear([person])
    return seconds


@contextmanager
def run_stock(names: dict[str, str], count: int) -> Iterator[Side]:
    """Run stock JupyterHub with `count` users who are logged in."""
    with stock.deploy(names) as hub:
        people = [log_in_by_name(stock.URL, f"person-{number}") for number in range(count)]
        selector = "component=singleuser-server"
        button = ("/hub/home", "#start")
        yield Side("stock", stock.URL, stock.NAMESPACE, stock.NAMESPACE, selector, people, hub.stop, button)


@contextmanager
def run_ours(count: int) -> Iterator[Side]:
    """Run our hub with nginx and `count` users who are logged in. The hub is deployed as in the cluster tests."""
    authority = trustme.CA()
    with run_github(authority) as github, deploy(github, authority) as hub, TemporaryDirectory() as folder:
        nginx = deploy_nginx(Path(folder))
        people = [our_person(hub, f"person-{number}") for number in range(count)]

        def stop(name: str) -> None:
            hub.api("DELETE", f"/users/{name}/server").raise_for_status()

        selector = "app.kubernetes.io/component=lab"
        button = ("/hub/spawn", "form [type=submit]") if people[0].form else ("/hub/home", "#start")
        yield Side("ours", hub.url, cluster.NAMESPACE, LABS, selector, people, stop, button, nginx)


def deploy_nginx(folder: Path) -> tuple[str, str]:
    """Run nginx in front of our hub, and return its URL and the fingerprint of its certificate."""
    certificate = Authority(folder).write(folder, HOST)
    files = (f"--cert={folder / 'tls.crt'}", f"--key={folder / 'tls.key'}")
    kubectl("create", "secret", "tls", "nginx-tls", "-n", cluster.NAMESPACE, *files)
    kubectl("create", "configmap", "nginx", "-n", cluster.NAMESPACE, f"--from-literal=NGINX_SERVER_NAME={HOST}")
    kubectl("apply", "-f", ROOT / "nginx/kubernetes")
    cluster.wait_for_rollout("nginx", 120)
    ports = {port["name"]: port["nodePort"] for port in cluster.get("service", "nginx")["spec"]["ports"]}
    return f"https://{HOST}:{ports['https']}", fingerprint(certificate)


def our_person(hub: Deployment, login: str) -> Person:
    """Log in a user of our hub, whose spawn form selects an image and a size."""
    visitor, _ = hub.member(login)
    return Person(visitor.http, login, FORM)


def median(values: Sequence[float]) -> float:
    """Return the median, or NaN without values."""
    return statistics.median(values) if values else float("nan")


def report(title: str, values: Sequence[float], goal: str = "", unit: str = "s") -> None:
    """Print a line with the values of our hub and of stock JupyterHub, and their ratio."""
    ours, theirs = values
    print(f"  {title:<44}{ours:9.2f} {unit:<3}{theirs:9.2f} {unit:<3}{ours / theirs:8.2f}  {goal}", flush=True)


def report_all(found: Mapping[str, Measured]) -> None:
    """Print the times of all `MARKS` (phases of pods and steps of users), and the CPU time per spawn."""
    for mark in MARKS:
        report(mark, [median(side.marks.get(mark, [])) for side in found.values()])
    hub = [1000 * median([cost.hub for cost in side.cost]) for side in found.values()]
    report("hub's CPU per spawn", hub, "goal 1.00", "ms")
    report("node's CPU per spawn", [median([cost.node for cost in side.cost]) for side in found.values()])


def heading(title: str) -> None:
    """Print the title and the column headings of a table."""
    print(f"\n{title:<46}{'ours':>12}{'stock':>13}{'ratio':>9}")


def alternate(sides: Sequence[Side], count: int, rounds: int, progress: Progress) -> dict[str, Measured]:
    """Measure rounds in which `count` users spawn at the same time, alternately on the two hubs."""
    found = {side.title: Measured() for side in sides}
    for _ in range(rounds):
        for side in sides:
            spawn_round(side, side.people[:count], found[side.title])
            seconds = found[side.title].last[-1]
            progress.finish(f"{side.title}, {count} at once: last launcher after {seconds:.1f} s")
    return found


def has_chromium() -> bool:
    """Return whether Chromium or Chrome is installed, which the measurement in a browser needs."""
    return bool(shutil.which("chromium") or shutil.which("google-chrome"))


def warn_of_ipv6() -> None:
    """Print a warning if new network interfaces of this machine get IPv6 addresses, which disturbs Chromium."""
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    if switch.exists() and switch.read_text().strip() == "0":
        print(
            "If the cluster's pods run on this machine, Chromium drops its connections when a pod starts or ends, and\n"
            "its times are wrong. Before the benchmark: sysctl -w net.ipv6.conf.default.disable_ipv6=1",
            flush=True,
        )


def measure_one(sides: Sequence[Side], runs: int, progress: Progress) -> None:
    """Measure spawns of a single user, with an HTTP client and in a browser, and print the results."""
    found = alternate(sides, 1, runs, progress)
    heading(f"one user, medians of {runs} spawns, time since the click")
    report_all(found)
    report("launcher loaded", [median(found[side.title].last) for side in sides], f"goal {GOAL:.2f}")
    if not has_chromium():
        print("  not measured in a browser: Chromium is missing (Debian: apt install chromium)")
        return
    ours, theirs = sides
    assert ours.nginx is not None  # noqa: S101
    url, trusted = ours.nginx
    with open_browser(trusted, f"--host-resolver-rules=MAP {HOST} 127.0.0.1") as browser:
        clicks = {"nginx": (ours, url), "ours": (ours, ours.url), "stock": (theirs, theirs.url)}
        times: dict[str, list[float]] = {name: [] for name in clicks}
        for _ in range(runs):
            for name, (side, front) in clicks.items():
                times[name].append(browser_seconds(browser, side, front))
                progress.finish(f"{name} in Chromium: launcher after {times[name][-1]:.1f} s")
    medians = {name: median(values) for name, values in times.items()}
    report("launcher visible in Chromium", [medians["ours"], medians["stock"]], f"goal {GOAL:.2f}")
    report("the same, ours with nginx and TLS", [medians["nginx"], medians["stock"]], f"goal {GOAL:.2f}")


def measure_many(sides: Sequence[Side], people: int, storms: int, progress: Progress) -> None:
    """Measure simultaneous spawns of all users, and print the results."""
    found = alternate(sides, people, storms, progress)
    heading(f"{people} at once, medians of {storms} rounds, time since the click")
    report_all(found)
    medians = [median(found[side.title].marks[STEPS[-1]]) for side in sides]
    report("launcher loaded, p50", medians, f"goal {GOAL:.2f}")
    for side in sides:
        if count := sum(bool(person.lost) for person in side.people):
            print(f'  {side.title}: {count} of {people} users saw "not running" while their lab was starting')
    report("launcher loaded, the last", [median(found[side.title].last) for side in sides], f"goal {GOAL:.2f}")


def plan(options: argparse.Namespace) -> Progress:
    """Return the printer of the progress. It expects that 20 simultaneous spawns take four times as long as one."""
    single = 2 * (1 + options.runs) + (3 * options.runs if has_chromium() else 0)
    return Progress([1] * single + [max(1, options.people / 5)] * 2 * options.storms)


def main() -> None:
    """Measure both hubs, and print the time of each step of a spawn and the ratios of the hubs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="spawns of one user on each hub (%(default)s)")
    parser.add_argument("--storms", type=int, default=3, help="rounds of all users on each hub (%(default)s)")
    parser.add_argument("--people", type=int, default=20, help="users in a round (%(default)s)")
    parser.add_argument("--load", default="", metavar="COMMAND", help="loads the image, whose name is appended")
    parser.add_argument("--keep-images", action="store_true", help="keep stock's images for the next run")
    options = parser.parse_args()
    end_cleanly_on_sigterm()
    names = stock.image_names()
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
        stock.build(names)
        stock.load(names, options.load)
        print(f"load of this machine before: {os.getloadavg()[0]:.1f}, with {os.cpu_count()} CPUs", flush=True)
        warn_of_ipv6()
        progress = plan(options)
        with run_stock(names, options.people) as theirs, run_ours(options.people) as ours:
            sides = (ours, theirs)
            alternate(sides, 1, 1, progress)  # a first round, not measured: it reads images from disk
            if options.runs:
                measure_one(sides, options.runs, progress)
            if options.storms:
                measure_many(sides, options.people, options.storms, progress)
    except FileNotFoundError as error:
        sys.exit(f"bench: {error.filename} is missing")
    except KubectlError as error:
        sys.exit(f"bench: kubectl failed, set KUBECONFIG to a cluster, for example to kind's\n{error}")
    except (BuildError, stock.StockError, SpawnError) as error:
        sys.exit(f"bench: {error}")
    finally:
        if not options.keep_images:
            stock.remove(names)


if __name__ == "__main__":
    main()

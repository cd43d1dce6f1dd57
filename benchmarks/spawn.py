"""A lab from the hub next to one from stock JupyterHub: `nox -s "bench(spawn)"`.

Both run on the one-node cluster that KUBECONFIG names, which has the project's images. Stock is JupyterHub with
KubeSpawner, its defaults, the proxy apart and SQLite, in images made for this from the same versions
(benchmarks/spawning/stock-hub): this needs a Docker engine, and `--load` says how the cluster gets them. Spawns of the
two alternate; the other one has nothing to do meanwhile.

A spawn is measured from the click that asks for a lab, along the page that waits and its progress, to the answers to
what JupyterLab asks for before it shows a launcher; in Chromium, if the machine has it, until the launcher is seen:
without TLS at the proxy of each, and at our nginx, which is what a user of ours has.
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
# Seconds of nothing after labs have gone: kubelet still clears up.
CALM_SECONDS = 3
FORM = {"image": "recommended", "size": "small"}
MARKS = ("pod made", "hub's page waits", *PHASES[1:], *STEPS[1:])


@dataclass(frozen=True)
class Side:
    """One of the two hubs.

    Attributes
    ----------
    namespace, labs
        Of the hub, and of the labs.
    selector
        The labels of labs.
    stop
        Stops the lab of a name.
    button
        Where the click is, and what is clicked.
    nginx
        Where nginx is in front of it, and what Chromium trusts it by; None if nothing is.
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
        """Stop their labs, and wait until nothing is left of them."""
        for person in people:
            self.stop(person.name)
        wait_until(lambda: not cluster.get("pods", namespace=self.labs, selector=self.selector), "labs go", 120)
        time.sleep(CALM_SECONDS)


@dataclass
class Measured:
    """What was seen of one hub's spawns, in seconds since the click.

    Attributes
    ----------
    marks
        By what has come, one for each spawn.
    cost
        Of the hub and the node for each spawn, one for each round.
    last
        When the last of a round had a launcher.
    """

    marks: dict[str, list[float]] = field(default_factory=dict)
    cost: list[Cpu] = field(default_factory=list)
    last: list[float] = field(default_factory=list)

    def add(self, start: float, times: Sequence[Mapping[str, float]]) -> None:
        """Take what came when."""
        for one in times:
            for mark, at in one.items():
                self.marks.setdefault(mark, []).append(at - start)


def spawn_round(side: Side, people: Sequence[Person], into: Measured) -> None:
    """Have them all click at once, wait until all have a launcher, and stop their labs."""
    ready = threading.Barrier(len(people) + 1)

    def click(person: Person) -> dict[str, float]:
        ready.wait()
        return person.spawn()

    with PodTimes(side.labs).watching() as pods, ThreadPoolExecutor(len(people)) as pool:
        before = cpu(side.namespace)
        spawns = [pool.submit(click, person) for person in people]
        start = time.monotonic()
        ready.wait()
        seen = [spawn.result() for spawn in spawns]
        spent = cpu(side.namespace) - before
        # The rest of what Kubernetes tells comes up to a second after the lab has answered.
        time.sleep(1.5)
    into.add(start, seen)
    into.add(start, list(pods.times.values()))
    into.cost.append(Cpu(spent.hub / len(people), spent.node / len(people)))
    into.last.append(max(one[STEPS[-1]] for one in seen) - start)
    side.clear(people)


def browser_seconds(browser: Browser, side: Side, url: str) -> float:
    """Click in a browser that knows nothing but the login; give the seconds until the launcher is seen."""
    person, host = side.people[0], urlsplit(url).hostname
    context = browser.new_context()
    jar = [one for one in person.http.cookies.jar if one.path.startswith("/hub")]
    context.add_cookies([{"name": one.name, "value": one.value or "", "domain": host, "path": one.path} for one in jar])
    context.add_init_script(NOTE_LAUNCHER)
    page = context.new_page()
    where, what = side.button
    page.goto(f"{url}{where}")
    # Playwright's own click waits until the button stands still, and its looks for a launcher are up to 0.5 s apart.
    start = page.evaluate("what => { document.querySelector(what).click(); return Date.now(); }", what)
    page.wait_for_function("window.launcherSeen", timeout=120_000)
    seconds: float = (page.evaluate("window.launcherSeen") - start) / 1000
    context.close()
    side.clear([person])
    return seconds


@contextmanager
def run_stock(names: dict[str, str], count: int) -> Iterator[Side]:
    """Run stock, with so many people who are logged in."""
    with stock.deploy(names) as hub:
        people = [log_in_by_name(stock.URL, f"person-{number}") for number in range(count)]
        selector = "component=singleuser-server"
        button = ("/hub/home", "#start")
        yield Side("stock", stock.URL, stock.NAMESPACE, stock.NAMESPACE, selector, people, hub.stop, button)


@contextmanager
def run_ours(count: int) -> Iterator[Side]:
    """Run ours, as the tests do, with so many people who are logged in."""
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
    """Run nginx in front of our hub, with a certificate from the folder; give where it is, and what to trust it by."""
    certificate = Authority(folder).write(folder, HOST)
    files = (f"--cert={folder / 'tls.crt'}", f"--key={folder / 'tls.key'}")
    kubectl("create", "secret", "tls", "nginx-tls", "-n", cluster.NAMESPACE, *files)
    kubectl("create", "configmap", "nginx", "-n", cluster.NAMESPACE, f"--from-literal=NGINX_SERVER_NAME={HOST}")
    kubectl("apply", "-f", ROOT / "nginx/kubernetes")
    cluster.wait_for_rollout("nginx", 120)
    ports = {one["name"]: one["nodePort"] for one in cluster.get("service", "nginx")["spec"]["ports"]}
    return f"https://{HOST}:{ports['https']}", fingerprint(certificate)


def our_person(hub: Deployment, login: str) -> Person:
    """Let somebody in who has chosen before, so the form is filled in."""
    visitor, _ = hub.member(login)
    return Person(visitor.http, login, FORM)


def median(values: Sequence[float]) -> float:
    """Give the median; not a number of none."""
    return statistics.median(values) if values else float("nan")


def report(what: str, values: Sequence[float], goal: str = "", unit: str = "s") -> None:
    """Print a line: ours and stock's."""
    ours, theirs = values
    print(f"  {what:<44}{ours:9.2f} {unit:<3}{theirs:9.2f} {unit:<3}{ours / theirs:8.2f}  {goal}", flush=True)


def report_all(found: Mapping[str, Measured]) -> None:
    """Print what came when, and what it cost."""
    for mark in MARKS:
        report(mark, [median(side.marks.get(mark, [])) for side in found.values()])
    hub = [1000 * median([one.hub for one in side.cost]) for side in found.values()]
    report("hub's processor, one spawn", hub, "goal 1.00", "ms")
    report("node's processors, one spawn", [median([one.node for one in side.cost]) for side in found.values()])


def heading(title: str) -> None:
    """Print what the next lines are about."""
    print(f"\n{title:<46}{'ours':>12}{'stock':>13}{'ratio':>9}")


def alternate(sides: Sequence[Side], count: int, rounds: int) -> dict[str, Measured]:
    """Have so many people spawn at once, in turns on either side."""
    found = {side.title: Measured() for side in sides}
    for _ in range(rounds):
        for side in sides:
            spawn_round(side, side.people[:count], found[side.title])
            seconds = found[side.title].last[-1]
            print(f"{side.title}, {count} at once: all after {seconds:.1f} s", file=sys.stderr, flush=True)
    return found


def measure_one(sides: Sequence[Side], runs: int) -> None:
    """Measure one user's spawn, over HTTP and in a browser, and print it."""
    found = alternate(sides, 1, runs)
    heading(f"one user, medians of {runs}, seconds since the click")
    report_all(found)
    report("launcher answers", [median(found[side.title].last) for side in sides], f"goal {GOAL:.2f}")
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        print("  no Chromium here (Debian: apt install chromium): not measured in a browser")
        return
    ours, theirs = sides
    assert ours.nginx is not None  # noqa: S101
    url, trusted = ours.nginx
    with open_browser(trusted, f"--host-resolver-rules=MAP {HOST} 127.0.0.1") as browser:
        clicks = {"nginx": (ours, url), "ours": (ours, ours.url), "stock": (theirs, theirs.url)}
        seen: dict[str, list[float]] = {name: [] for name in clicks}
        for _ in range(runs):
            for name, (side, where) in clicks.items():
                seen[name].append(browser_seconds(browser, side, where))
    middle = {name: median(values) for name, values in seen.items()}
    report("launcher is seen in Chromium", [middle["ours"], middle["stock"]], f"goal {GOAL:.2f}")
    report("the same, ours with nginx and TLS", [middle["nginx"], middle["stock"]], f"goal {GOAL:.2f}")


def measure_many(sides: Sequence[Side], people: int, storms: int) -> None:
    """Measure everybody's spawns at once, and print it."""
    found = alternate(sides, people, storms)
    heading(f"{people} at once, {storms} times, medians, seconds since the click")
    report_all(found)
    middle = [median(found[side.title].marks[STEPS[-1]]) for side in sides]
    report("launcher answers, p50", middle, f"goal {GOAL:.2f}")
    for side in sides:
        if told := sum(bool(person.lost) for person in side.people):
            print(f"  {side.title}: {told} of {people} were told meanwhile that no lab runs nor starts")
    report("launcher answers, the last", [median(found[side.title].last) for side in sides], f"goal {GOAL:.2f}")


def main() -> None:
    """Print where the time goes, and the ratios; what is missing ends it with one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="of one user, of each of the two (%(default)s)")
    parser.add_argument("--storms", type=int, default=3, help="of all at once, of each of the two (%(default)s)")
    parser.add_argument("--people", type=int, default=20, help="how many at once (%(default)s)")
    parser.add_argument("--load", default="", metavar="COMMAND", help="gives the node an image, whose name is appended")
    options = parser.parse_args()
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
        names = stock.build()
        stock.load(names, options.load)
        print(f"load of this machine before: {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors", flush=True)
        with run_stock(names, options.people) as theirs, run_ours(options.people) as ours:
            sides = (ours, theirs)
            alternate(sides, 1, 1)  # the first spawn of all reads the image from the disk
            if options.runs:
                measure_one(sides, options.runs)
            if options.storms:
                measure_many(sides, options.people, options.storms)
    except FileNotFoundError as error:
        sys.exit(f"bench: {error.filename} is missing")
    except KubectlError as error:
        sys.exit(f"bench: no Kubernetes cluster answers as it should: set KUBECONFIG, for example to kind's\n{error}")
    except (BuildError, stock.StockError, SpawnError) as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()

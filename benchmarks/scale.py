"""Benchmark of our hub against stock JupyterHub, with thousands of labs: `nox -s "bench(scale)"`.

Both hubs run on this machine and use the one-node cluster of KUBECONFIG. While one hub is measured, the other hub is
paused. Pods are simulated without a kubelet (benchmarks/scaling/hollow.py), so the benchmark measures the hub and the
Kubernetes API. It needs root, Go, and the commands that stop and start the API server: CLUSTER_API_STOP,
CLUSTER_API_START.

The benchmark also measures a lower bound, the floor: the time to create the same pods through the Kubernetes API
without a hub.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from benchmarks.progress import Progress, end_cleanly_on_sigterm
from benchmarks.scaling import hollow
from benchmarks.scaling.hubs import Hub, run
from benchmarks.scaling.load import Load, load
from benchmarks.scaling.machine import call, measure_machine
from benchmarks.scaling.onlookers import looking_at_health, looking_at_labs
from benchmarks.scaling.pods import bare, kubernetes, labs
from benchmarks.scaling.rounds import FAILURES, Round, show_failure, together
from tools.components import ROOT

# Number of users who log in at the same time while the hub is filled with labs
AT_ONCE = 40
# Maximum number of logins of a user whose lab does not start
LOGINS_MAX = 5
FEW = 50
IDLE_SECONDS = 60
# Duration of the outage of the Kubernetes API
API_DOWN_SECONDS = 20
# Time in seconds for a resumed hub to process the changes that occurred during its pause, before the next measurement
CATCH_UP_SECONDS = 5
READY_SECONDS = 180
FLOORS = 3
# Width of a title in the output, in characters
WIDTH = 64
MACHINE = "speed of the machine: a fixed loop, ms"


class Bench:
    """The measurements of one hub.

    Attributes
    ----------
    figures
        All results, by title.
    filled
        Number of users for whom `fill` has requested a lab.
    running
        Users whose labs were started by `fill`, and run in all later phases.
    known
        Users who have logged in and have no lab.
    speeds
        Results of `measure_machine`, one before each storm.
    """

    def __init__(self, users: Load, core: Any, options: argparse.Namespace) -> None:
        self.users, self.core, self.options = users, core, options
        self.hub: Hub = users.hub
        self.figures: dict[str, float] = {}
        self.filled = 0
        self.running: list[str] = []
        self.known: list[str] = []
        self.speeds: list[float] = []

    def note(self, title: str, value: float) -> None:
        """Store a result under its title, and print it."""
        self.figures[title] = value
        print(f"  {self.hub.title:<6}{title:<{WIDTH}}{value:10.3f}", flush=True)

    def note_round(self, title: str, result: Round) -> None:
        """Store and print the figures of a round: the p50 and the last time, failed labs, and CPU time."""
        self.note(f"{title}: p50, s", statistics.median(result.seconds))
        self.note(f"{title}: last, s", result.seconds[-1])
        if result.failures:
            self.note(f"{title}: failed labs", result.failures)
        if result.cpu:
            self.note(f"{title}: hub's CPU per spawn, ms", 1000 * result.cpu)

    async def storm(self, title: str, task: Callable[[str], Awaitable[None]], names: Sequence[str]) -> None:
        """Run the task for all users at the same time. Store and print the times, and the slowest health page."""
        self.speeds.append(await asyncio.to_thread(measure_machine))
        with looking_at_health(self.hub) as onlooker:
            result = await together([partial(task, name) for name in names], self.hub)
        self.note_round(title, result)
        self.note(f"{title}: slowest health page, s", onlooker.worst)

    async def pods(self) -> list[dict[str, Any]]:
        """Return the pods of the hub's labs."""
        return await labs(self.core, self.hub.namespace)

    async def floor(self, title: str) -> None:
        """Measure the floor: create copies of a lab's pod without a hub, `FLOORS` times.

        Store and print the median round.
        """
        template = (await self.pods())[0]
        rounds = [await bare(self.core, template, self.options.storm) for _ in range(FLOORS)]
        self.note_round(title, sorted(rounds, key=lambda result: result.seconds[-1])[FLOORS // 2])

    async def fill(self, count: int) -> None:
        """Log in new users until `count` users have requested a lab.

        Store and print the time, and the users without a lab.
        """
        if count <= self.filled:
            return
        names = [f"fill-{number}" for number in range(self.filled, count)]
        self.filled = count
        self.users.join(names)
        gate = asyncio.Semaphore(AT_ONCE)

        async def start_lab(name: str) -> bool:
            async with gate:
                for _ in range(LOGINS_MAX):
                    try:
                        await self.users.log_in(name)
                    except FAILURES as error:
                        show_failure(error)
                    else:
                        return True
                return False

        start = time.monotonic()
        started = await asyncio.gather(*(start_lab(name) for name in names))
        self.running += [name for name, is_running in zip(names, started, strict=True) if is_running]
        self.note(f"until {count} labs run: time per login and spawn, s", (time.monotonic() - start) / len(names))
        if failures := started.count(False):
            self.note(f"until {count} labs run: users without a lab after {LOGINS_MAX} logins", failures)

    async def measure_few(self, names: Sequence[str]) -> None:
        """Measure `FEW` simultaneous spawns through the REST API while the other labs run."""
        await self.storm(f"{FEW} spawns by REST, {len(self.running)} labs running", self.users.call, names[:FEW])
        await self.users.stop(names[:FEW])

    async def measure_empty(self) -> None:
        """Measure many logins and many spawns while no other lab runs. Then measure a few spawns while 100 labs run."""
        storm = self.options.storm
        names = self.known = self.create_users("first")
        await self.storm(f"{storm} logins", self.users.log_in, names)
        if self.hub.title == "ours":
            await self.floor(f"{storm} bare pods, {storm} labs running")
        await self.users.stop(names)
        await self.storm(f"{storm} spawns by REST", self.users.call, names)
        await self.users.stop(names)
        await self.fill(min(100, self.options.labs))
        await self.measure_few(names)

    async def fill_up(self) -> None:
        """Log in new users until the requested number of labs runs. Store and print the memory of the hub."""
        await self.fill(self.options.labs)
        self.note("memory, MiB", self.hub.memory())

    async def measure_full(self) -> None:
        """Repeat the measurements of logins and spawns while all labs run."""
        storm, count, names = self.options.storm, self.options.labs, self.known
        await self.measure_few(names)
        if self.hub.title == "ours":
            await self.floor(f"{storm} bare pods, {count} labs running")
        await self.storm(f"{storm} spawns by REST, {count} labs running", self.users.call, names)
        await self.users.stop(names)
        names = self.create_users("later")
        await self.storm(f"{storm} logins, {count} labs running", self.users.log_in, names)
        await self.users.stop(names)

    def create_users(self, prefix: str) -> list[str]:
        """Create as many users as a storm needs, allow their logins, and return their names."""
        names = [f"{prefix}-{number}" for number in range(self.options.storm)]
        self.users.join(names)
        return names

    async def measure_idle(self) -> None:
        """Measure the CPU time and the health page of an idle hub, to which labs only report their activity."""
        pods = await self.pods()
        before = self.hub.cpu()
        with looking_at_health(self.hub, every=1) as onlooker:
            await self.users.report(pods, IDLE_SECONDS)
        self.note("idle: hub's CPU, %", 100 * (self.hub.cpu() - before) / IDLE_SECONDS)
        self.note("idle: slowest health page, s", onlooker.worst)

    async def kill(self) -> None:
        """Kill and restart the hub, and measure the time until the hub knows all running labs again."""
        with looking_at_labs(self.hub, self.running) as onlooker:
            self.hub.end(signal.SIGKILL)
            start = time.monotonic()
            self.hub.start()
            await asyncio.to_thread(self.hub.wait_until_up)
            self.note("hub killed: the hub answers after, s", time.monotonic() - start)
            self.note("hub killed: all labs are known after, s", await self.wait_until_all_ready() - start)
            self.note("hub killed: hub's CPU until then, s", self.hub.cpu())
        await self.note_lost("hub killed")
        self.note("hub killed: failed requests to labs", len(onlooker.failed))

    async def start_without_api(self) -> None:
        """Start the hub while the Kubernetes API is unavailable, and measure the time until the hub knows all labs."""
        with looking_at_labs(self.hub, self.running) as onlooker:
            self.hub.end(signal.SIGKILL)
            await call(self.options.api_stop)
            try:
                start = time.monotonic()
                self.hub.start()
                await asyncio.sleep(API_DOWN_SECONDS)
            finally:
                await call(self.options.api_start)
            await asyncio.to_thread(self.hub.wait_until_up)
            self.note("API down: all labs are known after, s", await self.wait_until_all_ready() - start)
        await self.note_lost("API down")
        self.note("API down: failed requests to labs", len(onlooker.failed))
        for failure in onlooker.failed[:3]:
            print(f"        {failure}")

    async def wait_until_all_ready(self) -> float:
        """Return the time at which the hub reports all labs as ready, or at which `READY_SECONDS` have passed.

        Poll one lab before all labs are counted, because a count of 2,000 labs keeps the hub busy for half a second.
        """
        deadline = time.monotonic() + READY_SECONDS
        while True:
            now = time.monotonic()
            if now > deadline:
                return now
            if await self.users.is_ready(self.running[-1]) and await self.users.ready() >= len(self.running):
                return now
            await asyncio.sleep(0.1)

    async def note_lost(self, title: str) -> None:
        """Store and print how many running labs the hub, the proxy and the cluster have lost."""
        count = len(self.running)
        self.note(f"{title}: labs that the hub does not know", count - await self.users.ready())
        self.note(f"{title}: labs without a route in the proxy", count - await self.users.routes())
        self.note(f"{title}: labs without a pod", count - len(await self.pods()))


# The phases of the benchmark, with their expected durations relative to each other
PHASES: dict[Callable[[Bench], Awaitable[None]], float] = {
    Bench.measure_empty: 3,
    Bench.fill_up: 5,
    Bench.measure_full: 4,
    Bench.measure_idle: 1.5,
    Bench.kill: 1,
    Bench.start_without_api: 1.5,
}


async def measure(hubs: Sequence[Hub], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run each phase first for one hub and then for the other. Return the figures of each hub."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(kubernetes())
        benches = [Bench(await stack.enter_async_context(load(hub)), core, options) for hub in hubs]
        progress = Progress([weight for weight in PHASES.values() for _ in benches])
        for phase in PHASES:
            for bench in benches:
                with ExitStack() as others:
                    for other in hubs:
                        if other is not bench.hub:
                            others.enter_context(other.halted())
                    await asyncio.sleep(CATCH_UP_SECONDS)
                    await phase(bench)
                progress.finish(f"{bench.hub.title}, {phase.__name__}")
        for bench in benches:
            bench.note(MACHINE, 1000 * statistics.median(bench.speeds))
        return {bench.hub.title: bench.figures for bench in benches}


def report(figures: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    """Print the figures of both hubs, their ratios, and a table of goals."""
    ours, stock = figures["ours"], figures.get("stock", {})
    print(f"\n{'':<{WIDTH}}{'ours':>10}{'stock':>10}{'ratio':>8}")
    for title, value in ours.items():
        other = stock.get(title)
        ratio = f"{value / other:8.2f}" if other else ""
        print(f"{title:<{WIDTH}}{value:10.3f}{'' if other is None else f'{other:10.3f}'}{ratio}")
    storm, count = options.storm, options.labs
    floor = ours[f"{storm} bare pods, {storm} labs running: last, s"]
    rest, full = (ours[f"{storm} spawns by REST{more}: last, s"] for more in ("", f", {count} labs running"))
    spawn, known = "spawns by REST, {} labs running: hub's CPU per spawn, ms", "hub killed: all labs are known after, s"
    cpu = [ours[f"{FEW} {spawn.format(running)}"] for running in (min(100, count), count)]
    goals = [
        (f"time of {storm} spawns by REST, relative to the floor", rest / floor, 2.0),
        (f"the same with {count} labs, relative to none", full / rest, 1.2),
        (f"hub's CPU per spawn, {count} labs, relative to 100 labs", cpu[1] / cpu[0], 1.3),
        ("idle: hub's CPU, %", ours["idle: hub's CPU, %"], 3.0),
        ("slowest health page, s", max(value for title, value in ours.items() if "health" in title), 0.5),
    ]
    title = f"{FEW} {spawn.format(count)}"
    if title in stock and known in stock:
        stock_cpu = stock[title]
        goals += [
            (f"hub's CPU per spawn, {count} labs, relative to stock", cpu[1] / stock_cpu, 0.6),
            ("hub killed: time until all labs are known, relative to stock", ours[known] / stock[known], 1 / 3),
        ]
    print()
    for title, value, goal in goals:
        print(f"{title:<{WIDTH}}{value:10.2f}   goal {goal:.2f}")


def main() -> None:
    """Measure both hubs, and print the figures and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labs", type=int, default=2000)
    parser.add_argument("--storm", type=int, default=200)
    parser.add_argument("--only", choices=["ours", "stock"])
    parser.add_argument(
        "--database",
        default="sqlite:///jupyterhub.sqlite",
        help="URL of an empty database; {title} in it is replaced by stock or ours",
    )
    parser.add_argument("--kwok", type=Path, default=ROOT / ".demo", help="folder in which KWOK is built")
    parser.add_argument("--json", type=Path, help="file to which the figures are written")
    parser.add_argument("--api-stop", default=os.environ.get("CLUSTER_API_STOP"))
    parser.add_argument("--api-start", default=os.environ.get("CLUSTER_API_START"))
    options = parser.parse_args()
    if not options.api_stop or not options.api_start:
        parser.error("set --api-stop and --api-start to the commands that stop and start the API server")
    end_cleanly_on_sigterm()
    kwok = hollow.build(options.kwok)
    folder = Path(mkdtemp(prefix="scale-"))
    print(f"logs are in {folder}", flush=True)
    with ExitStack() as stack:
        stack.enter_context(hollow.simulate_node(kwok, folder))
        titles = (options.only,) if options.only else hollow.HUBS
        hubs = [
            stack.enter_context(run(title, folder / title, options.database.format(title=title))) for title in titles
        ]
        figures = asyncio.run(measure(hubs, options))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    if "ours" in figures:
        report(figures, options)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""The hub with thousands of labs next to stock's: `nox -s "bench(scale)"`.

Both run on this machine against the one-node cluster that KUBECONFIG names, and take turns: while one is measured the
other is halted. Labs are pods that nobody runs (benchmarks/scaling/hollow.py), so what is measured is the hub and the
API of Kubernetes. It needs root, Go, and the commands that take the API server away and bring it back:
CLUSTER_API_STOP, CLUSTER_API_START.

The floor is the time of the same pods made straight through the API.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
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

from benchmarks.scaling import hollow
from benchmarks.scaling.hubs import Hub, run
from benchmarks.scaling.load import Load, load
from benchmarks.scaling.onlookers import looking_at_health, looking_at_labs
from benchmarks.scaling.pods import bare, kubernetes, labs
from benchmarks.scaling.rounds import FAILURES, LoadError, Round, show_failure, together
from tools.components import ROOT

# People who come to fill it, at once
AT_ONCE = 40
# Logins of one user until a lab starts
LOGINS_MAX = 5
FEW = 50
IDLE_SECONDS = 60
AWAY_SECONDS = 20
# For a hub that was halted to learn what has happened
CATCH_UP_SECONDS = 5
READY_SECONDS = 180
FLOORS = 3
MACHINE = "the machine alone, a fixed loop, ms"


class Bench:
    """One hub's run."""

    def __init__(self, who: Load, core: Any, options: argparse.Namespace) -> None:
        self.who, self.core, self.options = who, core, options
        self.hub: Hub = who.hub
        self.found: dict[str, float] = {}
        self.running: list[str] = []
        self.known: list[str] = []
        self.speeds: list[float] = []

    def note(self, what: str, value: float) -> None:
        """Keep a figure, and show it as it comes."""
        self.found[what] = value
        print(f"  {self.hub.title:<6}{what:<52}{value:10.3f}", flush=True)

    def note_round(self, what: str, found: Round) -> None:
        """Keep what was seen of a round."""
        self.note(f"{what}: half of them, s", statistics.median(found.seconds))
        self.note(f"{what}: all of them, s", found.seconds[-1])
        if found.failures:
            self.note(f"{what}: labs that failed", found.failures)
        if found.cpu:
            self.note(f"{what}: hub's processor for one, ms", 1000 * found.cpu)

    async def storm(self, what: str, task: Callable[[str], Awaitable[None]], names: Sequence[str]) -> None:
        """Have labs asked for at once."""
        self.speeds.append(await asyncio.to_thread(speed))
        with looking_at_health(self.hub) as seen:
            found = await together([partial(task, name) for name in names], self.hub)
        self.note_round(what, found)
        self.note(f"{what}: slowest health page, s", seen.worst)

    async def pods(self) -> list[dict[str, Any]]:
        """Give its labs' pods."""
        return await labs(self.core, self.hub.namespace)

    async def floor(self, what: str) -> None:
        """Make the same pods without a hub, and name that the floor."""
        template = (await self.pods())[0]
        rounds = [await bare(self.core, template, self.options.storm) for _ in range(FLOORS)]
        self.note_round(what, sorted(rounds, key=lambda one: one.seconds[-1])[FLOORS // 2])

    async def fill(self, count: int) -> None:
        """Let people in until so many labs run."""
        if count <= len(self.running):
            return
        names = [f"fill-{number}" for number in range(len(self.running), count)]
        self.who.join(names)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                for _ in range(LOGINS_MAX):
                    try:
                        await self.who.log_in(name)
                    except FAILURES as error:
                        show_failure(error)
                    else:
                        return
                raise LoadError(f"{name}: no lab after {LOGINS_MAX} logins")

        start = time.monotonic()
        await asyncio.gather(*(one(name) for name in names))
        self.running += names
        self.note(f"filled to {count}: one came, and had a lab, every s", (time.monotonic() - start) / len(names))

    async def few(self, names: Sequence[str]) -> None:
        """See what a spawn costs with the labs that run."""
        await self.storm(f"{FEW} by REST, {len(self.running)} run", self.who.call, names[:FEW])
        await self.who.stop(names[:FEW])

    async def first(self) -> None:
        """Have a crowd log in, and another by the API."""
        storm = self.options.storm
        names = self.known = self.crowd("first")
        await self.storm(f"{storm} log in", self.who.log_in, names)
        if self.hub.title == "ours":
            await self.floor(f"{storm} bare pods, {storm} run")
        await self.who.stop(names)
        await self.storm(f"{storm} by REST", self.who.call, names)
        await self.who.stop(names)
        await self.fill(min(100, self.options.labs))
        await self.few(names)

    async def filled(self) -> None:
        """Let everybody in."""
        await self.fill(self.options.labs)
        self.note("memory, MiB", self.hub.memory())

    async def again(self) -> None:
        """Have the crowds come again, with all labs that run."""
        storm, count, names = self.options.storm, self.options.labs, self.known
        await self.few(names)
        if self.hub.title == "ours":
            await self.floor(f"{storm} bare pods, {count} run")
        await self.storm(f"{storm} by REST, {count} run", self.who.call, names)
        await self.who.stop(names)
        names = self.crowd("later")
        await self.storm(f"{storm} log in, {count} run", self.who.log_in, names)
        await self.who.stop(names)

    def crowd(self, name: str) -> list[str]:
        """Give people who may come."""
        names = [f"{name}-{number}" for number in range(self.options.storm)]
        self.who.join(names)
        return names

    async def idle(self) -> None:
        """Let nothing happen but reports of activity."""
        pods = await self.pods()
        before = self.hub.cpu()
        with looking_at_health(self.hub, every=1) as seen:
            await self.who.report(pods, IDLE_SECONDS)
        self.note("idle, % of a processor", 100 * (self.hub.cpu() - before) / IDLE_SECONDS)
        self.note("idle: slowest health page, s", seen.worst)

    async def killed(self) -> None:
        """Kill the hub, and start it again."""
        with looking_at_labs(self.hub, self.running) as seen:
            self.hub.end(signal.SIGKILL)
            start = time.monotonic()
            self.hub.start()
            await asyncio.to_thread(self.hub.wait_until_up)
            self.note("killed: the hub answers after, s", time.monotonic() - start)
            self.note("killed: all labs are known after, s", await self.wait_until_all_ready() - start)
            self.note("killed: hub's processor until then, s", self.hub.cpu())
        await self.note_lost("killed")
        self.note("killed: requests to labs that failed", len(seen.failed))

    async def api_away(self) -> None:
        """Start the hub while Kubernetes is away."""
        with looking_at_labs(self.hub, self.running) as seen:
            self.hub.end(signal.SIGKILL)
            await call(self.options.api_stop)
            try:
                start = time.monotonic()
                self.hub.start()
                await asyncio.sleep(AWAY_SECONDS)
            finally:
                await call(self.options.api_start)
            await asyncio.to_thread(self.hub.wait_until_up)
            self.note("API away: settled after, s", await self.wait_until_all_ready() - start)
        await self.note_lost("API away")
        self.note("API away: requests to labs that failed", len(seen.failed))
        for one in seen.failed[:3]:
            print(f"        {one}")

    async def wait_until_all_ready(self) -> float:
        """Wait until the hub says of all labs that they are ready, or it has had its time; give when that was.

        One is asked for until it is there, and then all: to count 2,000 keeps a hub busy for half a second.
        """
        deadline = time.monotonic() + READY_SECONDS
        while True:
            now = time.monotonic()
            if now > deadline:
                return now
            if await self.who.is_ready(self.running[-1]) and await self.who.ready() >= len(self.running):
                return now
            await asyncio.sleep(0.1)

    async def note_lost(self, what: str) -> None:
        """Count what is not there any more."""
        count = len(self.running)
        self.note(f"{what}: labs that the hub forgot", count - await self.who.ready())
        self.note(f"{what}: labs that the proxy forgot", count - await self.who.routes())
        self.note(f"{what}: labs that are gone", count - len(await self.pods()))


def speed() -> float:
    """Give how long the same piece of Python takes, in seconds: a shared host is not equally fast at all times."""
    start, total = time.monotonic(), 0
    for number in range(1_000_000):
        total += number * number % 7
    return time.monotonic() - start


async def call(command: str) -> None:
    """Run a command."""
    process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise RuntimeError(f"{command} failed")


async def measure(hubs: Sequence[Hub], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run it all, each phase for one hub after the other."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(kubernetes())
        benches = [Bench(await stack.enter_async_context(load(hub)), core, options) for hub in hubs]
        for phase in (Bench.first, Bench.filled, Bench.again, Bench.idle, Bench.killed, Bench.api_away):
            for bench in benches:
                with ExitStack() as others:
                    for other in hubs:
                        if other is not bench.hub:
                            others.enter_context(other.halted())
                    await asyncio.sleep(CATCH_UP_SECONDS)
                    await phase(bench)
        for bench in benches:
            bench.note(MACHINE, 1000 * statistics.median(bench.speeds))
        return {bench.hub.title: bench.found for bench in benches}


def report(found: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    """Print both, and the ratios that are goals."""
    ours, stock = found["ours"], found.get("stock", {})
    print(f"\n{'':<58}{'ours':>10}{'stock':>10}{'ratio':>8}")
    for what, value in ours.items():
        other = stock.get(what)
        ratio = f"{value / other:8.2f}" if other else ""
        print(f"{what:<58}{value:10.3f}{'' if other is None else f'{other:10.3f}'}{ratio}")
    storm, count = options.storm, options.labs
    floor = ours[f"{storm} bare pods, {storm} run: all of them, s"]
    rest, full = (ours[f"{storm} by REST{more}: all of them, s"] for more in ("", f", {count} run"))
    cpu = [ours[f"{FEW} by REST, {run} run: hub's processor for one, ms"] for run in (min(100, count), count)]
    goals = [
        (f"{storm} by REST, of the floor's time", rest / floor, 2.0),
        (f"the same with {count} labs, of that with none", full / rest, 1.2),
        (f"hub's processor for a spawn, {count} labs, of that with 100", cpu[1] / cpu[0], 1.3),
        ("idle, % of a processor", ours["idle, % of a processor"], 3.0),
        ("slowest health page, s", max(value for what, value in ours.items() if "health" in what), 0.5),
    ]
    if stock:
        spawn = f"{FEW} by REST, {count} run: hub's processor for one, ms"
        known = "killed: all labs are known after, s"
        goals += [
            (f"hub's processor for a spawn, {count} labs, of stock's", ours[spawn] / stock[spawn], 0.6),
            ("killed: all labs are known, of stock's time", ours[known] / stock[known], 1 / 3),
        ]
    print()
    for what, value, goal in goals:
        print(f"{what:<58}{value:10.2f}   goal {goal:.2f}")


def main() -> None:
    """Measure both, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labs", type=int, default=2000)
    parser.add_argument("--storm", type=int, default=200)
    parser.add_argument("--only", choices=["ours", "stock"])
    parser.add_argument(
        "--database", default="sqlite:///jupyterhub.sqlite", help="URL of an empty one; {title} in it is stock or ours"
    )
    parser.add_argument("--kwok", type=Path, default=ROOT / ".demo", help="folder where KWOK is built")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--api-stop", default=os.environ.get("CLUSTER_API_STOP"))
    parser.add_argument("--api-start", default=os.environ.get("CLUSTER_API_START"))
    options = parser.parse_args()
    if not options.api_stop or not options.api_start:
        parser.error("wanted --api-stop and --api-start: the commands that take the API server away and bring it back")
    kwok = hollow.build(options.kwok)
    folder = Path(mkdtemp(prefix="scale-"))
    print(f"logs are in {folder}", flush=True)
    with ExitStack() as stack:
        stack.enter_context(hollow.play(kwok, folder))
        titles = (options.only,) if options.only else hollow.HUBS
        hubs = [
            stack.enter_context(run(title, folder / title, options.database.format(title=title))) for title in titles
        ]
        found = asyncio.run(measure(hubs, options))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    if "ours" in found:
        report(found, options)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""The programs of a lab that stops: find them in /proc, request that they save and end, and wait for them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Signals that ask a program to save and end. A program gets the first one that it handles, because another one would
# kill it while it saves. SIGINT is not one of them: less and an interactive Python handle it and continue.
REQUESTS = (signal.SIGTERM, signal.SIGHUP)
# Pause between two checks of the programs, in seconds
PAUSE_SECONDS = 0.02
INIT = 1


@dataclass(frozen=True)
class Program:
    """A process in /proc. It can be a zombie: it has ended, and its parent has not waited for it yet.

    Attributes
    ----------
    parent
        Process id of the program that started it.
    handled
        Signals for which the program has a handler, as bits. Bit 0 is signal 1. A program that has ended has none.
    """

    parent: int
    handled: int

    @property
    def request(self) -> signal.Signals | None:
        """The signal that asks the program to save and end, or None if the program has no handler that could save."""
        return next((number for number in REQUESTS if self.handled >> (number - 1) & 1), None)


def read_programs() -> dict[int, Program]:
    """Return all programs by process id. In a pod these are the programs of its container."""
    programs = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # the program has just ended
                status = Path(f"/proc/{name}/status").read_bytes()
                programs[int(name)] = Program(int(read_field(status, b"PPid")), int(read_field(status, b"SigCgt"), 16))
    return programs


def read_field(status: bytes, name: bytes) -> bytes:
    """Return the value of a field of /proc/PID/status."""
    return status.partition(b"\n" + name + b":\t")[2].partition(b"\n")[0]


def find_descendants(programs: Mapping[int, Program], roots: Collection[int]) -> set[int]:
    """Return the process ids of the programs that one of the roots has started, directly or indirectly."""
    found, parents = set[int](), set(roots)
    while parents:
        parents = {pid for pid, program in programs.items() if program.parent in parents} - found
        found |= parents
    return found


def lab_roots() -> set[int]:
    """Return the process ids whose descendants are the programs of this lab.

    If the lab is the main program of its container, then tini has adopted the programs whose parent has ended.
    """
    return {os.getpid(), INIT} if os.getppid() == INIT else {os.getpid()}


class SavingPrograms:
    """The programs that run when a lab stops, and that have a signal handler with which they can save.

    Programs that start later get no signal, because one of these programs may need them to save.

    Parameters
    ----------
    roots
        Process ids whose descendants are the programs of the lab.
    kernels
        Process ids of the kernels, which `OrderlyStop` shuts down.
    """

    def __init__(self, roots: Collection[int], kernels: Collection[int]) -> None:
        programs = read_programs()
        own = find_descendants(programs, roots) - {os.getpid(), *kernels}
        self._saving = {pid for pid in own if programs[pid].request}
        self._asked: set[int] = set()

    async def stop(self, patience: float, seconds: float) -> int:
        """Ask the programs to end, and wait for them. Kill those that still run, and return their number.

        A program gets its signal only after the programs that it has started have ended. Otherwise a shell or tmux
        would kill them.

        Parameters
        ----------
        patience
            Seconds after which a program gets its signal even if programs that it has started still run.
        seconds
            Seconds after which programs that still run are killed.
        """
        began = time.monotonic()
        while self._saving and time.monotonic() < began + seconds:
            programs = read_programs()
            self._saving &= {pid for pid, program in programs.items() if program.request}
            for pid in self._saving - self._asked:
                if time.monotonic() > began + patience or not find_descendants(programs, [pid]) & self._saving:
                    self._ask(pid, programs[pid])
            await asyncio.sleep(PAUSE_SECONDS)
        for pid in self._saving:
            _send(pid, signal.SIGKILL)
        return len(self._saving)

    async def wait_for_descendants(self, pid: int, seconds: float) -> None:
        """Wait until the programs that a kernel has started have ended, or until the timeout."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not find_descendants(read_programs(), [pid]) & self._saving:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    def _ask(self, pid: int, program: Program) -> None:
        self._asked.add(pid)
        _send(pid, program.request or signal.SIGTERM)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(OSError):  # the program has just ended
        os.kill(pid, number)


def has_children(pid: int) -> bool:
    """Return whether a program has children, including those that have ended and that it has not waited for."""
    return bool(find_descendants(read_programs(), [pid]))

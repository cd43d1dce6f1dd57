"""The programs of a lab that stops. The module finds the programs in /proc, sends signals and waits for their end.

Programs are, for example, commands in terminals and programs that a cell has started.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Signals that request a program to save and end. A program gets only the first of these signals for which it has a
# handler. The other signal could kill the program while it saves. SIGINT is not in the list: less and an interactive
# Python have a handler for SIGINT, but do not end.
REQUESTS = (signal.SIGTERM, signal.SIGHUP)
# Pause between two checks of the programs, in seconds
PAUSE_SECONDS = 0.02
INIT = 1


@dataclass(frozen=True)
class Program:
    """A process that /proc lists. The process may have ended already, if its parent has not waited for it yet (zombie).

    Attributes
    ----------
    parent
        Process id of the program's parent.
    handled
        Signals for which the program has a handler, as bits. Bit 0 is signal 1. A zombie has no handlers.
    """

    parent: int
    handled: int

    @property
    def request(self) -> signal.Signals | None:
        """The signal that requests the program to save and end, or None if the program handles no such signal."""
        return next((number for number in REQUESTS if self.handled >> (number - 1) & 1), None)


def read_programs() -> dict[int, Program]:
    """Return all programs in /proc, by process id. In a pod, /proc lists only programs of the lab's container."""
    programs = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # the program has just ended
                status = Path(f"/proc/{name}/status").read_bytes()
                programs[int(name)] = Program(int(read_field(status, b"PPid")), int(read_field(status, b"SigCgt"), 16))
    return programs


def read_field(status: bytes, name: bytes) -> bytes:
    """Return the value of a field in the contents of /proc/PID/status."""
    return status.partition(b"\n" + name + b":\t")[2].partition(b"\n")[0]


def find_descendants(programs: Mapping[int, Program], roots: Collection[int]) -> set[int]:
    """Return the process ids of the roots' children, the children of these children, and so on."""
    found, parents = set[int](), set(roots)
    while parents:
        parents = {pid for pid, program in programs.items() if program.parent in parents} - found
        found |= parents
    return found


def lab_roots() -> set[int]:
    """Return the process ids whose descendants are the programs of this lab.

    If the lab is the main program of its container, tini (process 1) is also such a process. When a program ends, its
    children become children of tini.
    """
    return {os.getpid(), INIT} if os.getppid() == INIT else {os.getpid()}


class SavingPrograms:
    """The programs of a lab that run when its stop begins, and that have a handler for SIGTERM or SIGHUP.

    Such programs can save. Programs that start later get no signal, because one of these programs may have started them
    in order to save.

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
        """Send each program a signal, and wait until the programs end. Return the number of programs that were killed.

        A program gets its signal after its descendants have ended. Otherwise, for example, a shell that ends would kill
        its descendants while they save.

        Parameters
        ----------
        patience
            Seconds after which all programs get their signal, even if descendants still run.
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
        """Wait until the saving programs that a kernel has started have ended, or until the timeout.

        Parameters
        ----------
        pid
            Process id of the kernel.
        seconds
            The timeout.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not find_descendants(read_programs(), [pid]) & self._saving:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    def _ask(self, pid: int, program: Program) -> None:
        self._asked.add(pid)
        _send(pid, program.request or signal.SIGTERM)
        _send(pid, signal.SIGCONT)  # a stopped program (Ctrl-Z) handles the signal only when it continues


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(OSError):  # the program has just ended
        os.kill(pid, number)


def has_children(pid: int) -> bool:
    """Return whether a program has children. Zombies, for which the program has not waited yet, also count."""
    return bool(find_descendants(read_programs(), [pid]))

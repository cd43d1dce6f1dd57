"""The stop of a lab. The lab's programs and kernels can save and end before the server stops.

docs/dev/lab.md has the reasons.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from jupyter_core.utils import ensure_async

from lsstlab.programs import PAUSE_SECONDS, SavingPrograms, has_children, lab_roots

# Deadlines, as shares of the time between SIGTERM and SIGKILL. PROGRAM_SHARE: before this deadline, the lab does not
# interrupt a kernel while programs of the kernel are saving. SAVE_SHARE: at this deadline, the lab kills kernels and
# programs that still run. END_SHARE: at this deadline, the lab's process exits even if it is blocked. After the stop
# time, kubelet would kill the process.
PROGRAM_SHARE, SAVE_SHARE, END_SHARE = 0.4, 0.8, 0.95
# The lab sends SIGTERM to a kernel that still has child processes this many seconds after its shutdown request.
# IPython's kernel ends its child processes before it runs `atexit` functions. It waits up to 29 s for zombies, which
# are child processes that have ended and for which the cell's code has not waited.
CHILDREN_SECONDS = 2.5
# Minimum time in seconds between the shutdown request and SIGTERM, and between SIGTERM and SIGKILL
KERNEL_SECONDS_MIN = 1


class OrderlyStop:
    """The steps that stop one lab in order: end the programs, shut down the kernels, and stop the server.

    Parameters
    ----------
    serverapp
        The lab's Jupyter Server.
    stop_time
        The time between SIGTERM and SIGKILL, in which the lab must stop.
    """

    def __init__(self, serverapp: Any, stop_time: timedelta) -> None:
        self._serverapp = serverapp
        self._seconds = stop_time.total_seconds()
        self._roots = lab_roots()
        self._task: asyncio.Task[None] | None = None

    def request(self) -> None:
        """Begin to stop the lab. Further calls of this method have no effect.

        An error or a blocked call can prevent Jupyter Server from stopping. Then, at the deadline END_SHARE,
        faulthandler logs the stacks of all threads and ends the process.
        """
        if self._task:
            return
        faulthandler.dump_traceback_later(END_SHARE * self._seconds, exit=True)
        self._serverapp.log.info("received a signal to stop: kernels and programs can save for %g s", self._seconds)
        self._task = asyncio.ensure_future(self._stop())

    async def _stop(self) -> None:
        try:
            kernels = self._kernels()
            programs = SavingPrograms(self._roots, [pid for pid in map(find_pid, kernels.values()) if pid])
            await asyncio.gather(self._end_programs(programs), self._end_kernels(kernels, programs))
        except Exception:  # the server must stop after any error
            self._serverapp.log.exception("a kernel or a program did not end in order")
        self._serverapp.stop()

    def _kernels(self) -> dict[str, Any]:
        manager = self._serverapp.kernel_manager
        return {kernel_id: manager.get_kernel(kernel_id) for kernel_id in manager.list_kernel_ids()}

    async def _end_programs(self, programs: SavingPrograms) -> None:
        if running := await programs.stop(PROGRAM_SHARE * self._seconds, SAVE_SHARE * self._seconds):
            self._serverapp.log.warning("programs that did not end in time and were killed: %d", running)

    async def _end_kernels(self, kernels: dict[str, Any], programs: SavingPrograms) -> None:
        ends = (self._end_kernel(kernel_id, kernel, programs) for kernel_id, kernel in kernels.items())
        for result in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(result, Exception):
                self._serverapp.log.warning("a kernel was not shut down: %r", result)

    async def _end_kernel(self, kernel_id: str, kernel: Any, programs: SavingPrograms) -> None:
        """Wait for the programs of a kernel, interrupt the kernel, wait until its cell has ended, and shut it down.

        1. The programs of the kernel end first, because the interrupt would kill them.
        2. After the interrupt, the cell's `finally` and `except KeyboardInterrupt` blocks can save. They may start
           programs to save, so the shutdown, which ends all programs of the kernel, must wait for the cell.
        3. At the shutdown, the kernel runs its `atexit` functions.
        """
        deadline = time.monotonic() + SAVE_SHARE * self._seconds
        kernel.stop_restarter()
        pid = find_pid(kernel)
        if pid:
            await send(kernel, signal.SIGCONT)  # a stopped kernel cannot answer
            await programs.wait_for_descendants(pid, PROGRAM_SHARE * self._seconds)
        if is_busy(kernel):
            await ensure_async(kernel.interrupt_kernel())
        # Poll the kernel's state. If no page is connected, Jupyter Server sends no event when the state changes.
        while is_busy(kernel) and time.monotonic() < deadline:
            if not await ensure_async(kernel.is_alive()):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        # jupyter_client sends SIGTERM after half of this time. This assignment does not change the default of 5 s,
        # which applies when a user restarts a kernel.
        kernel.shutdown_wait_time = 2 * max(deadline - time.monotonic(), KERNEL_SECONDS_MIN)
        terminator = asyncio.ensure_future(end_if_stuck(kernel, pid, deadline))
        try:
            await ensure_async(self._serverapp.kernel_manager.shutdown_kernel(kernel_id))
        finally:
            terminator.cancel()


async def end_if_stuck(kernel: Any, pid: int | None, deadline: float) -> None:
    """End a kernel that does not end after its shutdown request.

    Parameters
    ----------
    kernel
        The manager of the kernel.
    pid
        Process id of the kernel. After CHILDREN_SECONDS, the kernel gets SIGTERM if it still has programs.
    deadline
        Time of the monotonic clock. A kernel that still runs gets SIGTERM from jupyter_client at this time, and SIGKILL
        KERNEL_SECONDS_MIN later.
    """
    await asyncio.sleep(CHILDREN_SECONDS)
    if pid and has_children(pid):
        await send(kernel, signal.SIGTERM)
    await asyncio.sleep(deadline - time.monotonic() + KERNEL_SECONDS_MIN)
    await send(kernel, signal.SIGKILL)


async def send(kernel: Any, number: signal.Signals) -> None:
    """Send a signal to a kernel, if the kernel has not ended."""
    with suppress(RuntimeError):  # the kernel has just ended
        await ensure_async(kernel.signal_kernel(number))


def find_pid(kernel: Any) -> int | None:
    """Return the process id of a kernel, or None if the kernel does not run on this machine."""
    return getattr(getattr(kernel, "provisioner", None), "pid", None)


def is_busy(kernel: Any) -> bool:
    """Return whether a kernel executes code."""
    return getattr(kernel, "execution_state", None) == "busy"

"""The stop of a lab: its programs and kernels save and end, then the server stops. docs/dev/lab.md has the reasons."""

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

# Shares of the stop time. Until the first, a kernel waits for the programs that it has started. What still runs after
# the second is killed. After the third the process of the lab ends, whatever blocks it, before kubelet kills it.
PROGRAM_SHARE, SAVE_SHARE, END_SHARE = 0.4, 0.8, 0.95
# IPython's kernel ends its programs before it runs `atexit`. It waits up to 29 s for programs that have ended and that
# the cell has not waited for. So a kernel that still has programs after this time, in seconds, is terminated.
CHILDREN_SECONDS = 2.5
# Shortest time in seconds between a kernel's shutdown request, SIGTERM and SIGKILL
KERNEL_SECONDS_MIN = 1


class OrderlyStop:
    """The stop of one lab.

    Parameters
    ----------
    serverapp
        The lab's Jupyter Server.
    stop_time
        Time between SIGTERM and SIGKILL.
    """

    def __init__(self, serverapp: Any, stop_time: timedelta) -> None:
        self._serverapp = serverapp
        self._seconds = stop_time.total_seconds()
        self._roots = lab_roots()
        self._task: asyncio.Task[None] | None = None

    def request(self) -> None:
        """Start to stop the lab. Further requests change nothing.

        The process ends even if the server's clean-up fails or blocks: Jupyter Server stops its loop only after a
        clean-up without errors. faulthandler then logs the stacks of all threads.
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
        except Exception:  # the server must stop whatever fails
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

        The interrupt would kill the programs. `finally` and `except KeyboardInterrupt` of the cell run before the
        shutdown, which would end the programs that the cell needs to save, and `atexit` runs after it.
        """
        deadline = time.monotonic() + SAVE_SHARE * self._seconds
        kernel.stop_restarter()
        pid = find_pid(kernel)
        if pid:
            await programs.wait_for_descendants(pid, PROGRAM_SHARE * self._seconds)
        if is_busy(kernel):
            await ensure_async(kernel.interrupt_kernel())
        # Without clients, a kernel's state has no event to wait for.
        while is_busy(kernel) and time.monotonic() < deadline:
            if not await ensure_async(kernel.is_alive()):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        # jupyter_client sends SIGTERM after half of this time, and SIGKILL after the other half. Its default, 5 s,
        # still applies when a user restarts a kernel.
        kernel.shutdown_wait_time = 2 * max(deadline - time.monotonic(), KERNEL_SECONDS_MIN)
        terminator = asyncio.ensure_future(terminate_if_stuck(kernel, pid))
        try:
            await ensure_async(self._serverapp.kernel_manager.shutdown_kernel(kernel_id))
        finally:
            terminator.cancel()


async def terminate_if_stuck(kernel: Any, pid: int | None) -> None:
    """Terminate a kernel that still has programs some seconds after its shutdown request."""
    await asyncio.sleep(CHILDREN_SECONDS)
    if pid and has_children(pid):
        with suppress(RuntimeError):  # the kernel has just ended
            await ensure_async(kernel.signal_kernel(signal.SIGTERM))


def find_pid(kernel: Any) -> int | None:
    """Return the process id of a kernel, or None if the kernel does not run on this machine."""
    return getattr(getattr(kernel, "provisioner", None), "pid", None)


def is_busy(kernel: Any) -> bool:
    """Return whether a kernel executes code."""
    return getattr(kernel, "execution_state", None) == "busy"

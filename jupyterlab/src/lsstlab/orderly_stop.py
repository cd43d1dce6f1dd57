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

# Deadlines, as shares of the stop time.
# PROGRAM_SHARE: until then, a kernel is not interrupted while programs that it has started are saving.
# SAVE_SHARE: kernels and programs that still run are killed.
# END_SHARE: the lab's process ends, even if something blocks it. Later, kubelet would kill it.
PROGRAM_SHARE, SAVE_SHARE, END_SHARE = 0.4, 0.8, 0.95
# A kernel that still has child processes this many seconds after its shutdown request is terminated. IPython's kernel
# ends its children before it runs `atexit`, and waits up to 29 s for zombies, which the cell has not waited for.
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
        """Begin to stop the lab. Further requests have no effect.

        Jupyter Server stops its loop only after a clean-up without errors. If the clean-up fails or blocks,
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

        The interrupt would kill the programs, so they end first. After the interrupt, the cell's `finally` and `except
        KeyboardInterrupt` run. They may need programs to save, which the shutdown would end. `atexit` runs at the
        shutdown.
        """
        deadline = time.monotonic() + SAVE_SHARE * self._seconds
        kernel.stop_restarter()
        pid = find_pid(kernel)
        if pid:
            await programs.wait_for_descendants(pid, PROGRAM_SHARE * self._seconds)
        if is_busy(kernel):
            await ensure_async(kernel.interrupt_kernel())
        # Poll the state, because Jupyter Server has no event for its change if no client is connected.
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

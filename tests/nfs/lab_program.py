"""Python programs that a test runs in a lab, as the user. A program ends when its standard input is closed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labtesting.cluster import LABS

# A program that appends numbered lines to a file, and syncs each line. It prints the number of synced lines, and the
# duration of the longest write so far.
WRITER = """
import json, os, sys, threading, time

ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
count, longest = 0, 0.0
with open(sys.argv[1], "ab", buffering=0) as file:
    while not ended.is_set():
        started = time.monotonic()
        file.write(b"%08d\\n" % count)
        os.fsync(file.fileno())
        count += 1
        longest = max(longest, time.monotonic() - started)
        print(json.dumps({"count": count, "longest": round(longest, 2)}), flush=True)
"""
# The Python in the lab's image
PYTHON = "python3"


class LabProgram:
    """A running program in a lab. Each line of its output is an object in JSON."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    @property
    def last(self) -> dict[str, Any]:
        """The last complete line of the output, or an empty dictionary."""
        lines = self.log.read_text().split("\n")[:-1]
        result: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return result

    def wait_for(self, condition: Callable[[dict[str, Any]], bool], what: str, timeout: float = 180) -> dict[str, Any]:
        """Wait until the last line fulfills a condition, and return the line.

        Raises
        ------
        AssertionError
            Raised if the program ends before a line fulfills the condition, or after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not (last := self.last) or not condition(last):
            assert self.process.poll() is None, f"{what}: the program ended after {last}"
            assert time.monotonic() < deadline, f"{what}: not within {timeout:.0f} s, the last line is {last}"
            time.sleep(0.1)
        return last

    def finish(self, timeout: float = 180) -> dict[str, Any]:
        """Close the program's standard input, wait until the program ends, and return the last line of its output."""
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(timeout) == 0, self.log.read_text()[-2000:]
        return self.last


@contextmanager
def run_in_lab(pod: str, program: str, *arguments: str, log: Path) -> Iterator[LabProgram]:
    """Run a Python program in a lab until the end of the block."""
    command = ["kubectl", "exec", "--stdin", pod, "--namespace", LABS, "--container", "notebook", "--"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, PYTHON, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=output, stderr=sys.stderr
        )
    try:
        yield LabProgram(process, log)
    finally:
        if process.stdin and not process.stdin.closed:
            process.stdin.close()
        process.terminate()
        process.wait()

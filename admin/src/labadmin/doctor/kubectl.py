"""The cluster, by way of kubectl: whoever deploys has it, with their rights and their way to the API."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Any

# kubectl's own exit status is never this one.
TIMED_OUT = 124
REQUEST_TIMEOUT = "--request-timeout=8s"


@dataclass(frozen=True)
class Answer:
    """What a command said.

    Attributes
    ----------
    began, ended
        When, in seconds of this machine's clock: what tells the time in between is held against them.
    """

    status: int
    out: str
    err: str = ""
    began: float = 0.0
    ended: float = 0.0

    @property
    def reason(self) -> str:
        """The last line of what it complained of: kubectl says the rest above it, often several times."""
        lines = [line.strip() for line in f"{self.out}\n{self.err}".splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else f"exit status {self.status}"

    def read(self) -> Any:
        """Give the JSON that it printed; nothing if it is none."""
        try:
            return json.loads(self.out)
        except ValueError:
            return {}


class Kubectl:
    """Runs kubectl.

    Parameters
    ----------
    context
        Of the kubeconfig; empty: the current one.
    """

    def __init__(self, context: str = "") -> None:
        self._command = ["kubectl", *(["--context", context] if context else [])]
        self._children: set[subprocess.Popen[str]] = set()

    @staticmethod
    def is_there() -> bool:
        """Tell whether there is a kubectl on the PATH."""
        return shutil.which("kubectl") is not None

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = 15) -> Answer:
        """Run it; an answer that does not come in time is one with a status of its own."""
        began = time.time()
        pipe = subprocess.PIPE
        child = subprocess.Popen([*self._command, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._children.add(child)
        try:
            out, err = child.communicate(stdin or "", timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return Answer(TIMED_OUT, "", f"no answer within {seconds:.0f} s", began, time.time())
        finally:
            self._children.discard(child)
        return Answer(child.returncode, out, err, began, time.time())

    def stop(self) -> None:
        """End what runs now; what is asked from here on runs: somebody has to clean up."""
        for child in list(self._children):
            child.terminate()

    def get(self, *what: str) -> Answer:
        """Get objects as JSON."""
        return self.run("get", *what, "--output", "json", REQUEST_TIMEOUT)

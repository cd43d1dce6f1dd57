"""Access to the cluster through kubectl, which uses the credentials and the network of the administrator."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Any

# kubectl never exits with this status.
TIMED_OUT = 124
REQUEST_TIMEOUT = "--request-timeout=8s"


@dataclass(frozen=True)
class Answer:
    """The output and the exit status of a command.

    Attributes
    ----------
    began, ended
        Start and end of the command, in seconds (Unix time of this machine). The check of the clocks uses them.
    """

    status: int
    out: str
    err: str = ""
    began: float = 0.0
    ended: float = 0.0

    @property
    def reason(self) -> str:
        """The last line of the output. After a failure, it has kubectl's reason, and earlier lines only repeat it."""
        lines = [line.strip() for line in f"{self.out}\n{self.err}".splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else f"exit status {self.status}"

    def read(self) -> Any:
        """Return the JSON of the output, or an empty dict if it is not JSON."""
        try:
            return json.loads(self.out)
        except ValueError:
            return {}


class Kubectl:
    """A runner of kubectl commands.

    Parameters
    ----------
    context
        Name of a context in the kubeconfig. Empty means the current one.
    """

    def __init__(self, context: str = "") -> None:
        self._command = ["kubectl", *(["--context", context] if context else [])]
        self._children: set[subprocess.Popen[str]] = set()

    @staticmethod
    def is_there() -> bool:
        """Return whether kubectl is on the PATH."""
        return shutil.which("kubectl") is not None

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = 15) -> Answer:
        """Run a command and return its output. After the time limit the status is TIMED_OUT."""
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
        """End the running commands. Later commands can still run, for example those that remove the probe."""
        for child in list(self._children):
            child.terminate()

    def get(self, *what: str) -> Answer:
        """Read Kubernetes objects as JSON."""
        return self.run("get", *what, "--output", "json", REQUEST_TIMEOUT)

"""In a pod like a lab: which names are known here, what can be reached, and what cannot.

Network plugins take a moment to know a new pod: what is not as wanted is tried again for some seconds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

PATIENCE_SECONDS = 8.0
CONNECT_SECONDS = 2.0


def connect(host: str, port: int) -> str:
    """Open a connection; give why it failed, or nothing."""
    try:
        socket.create_connection((os.environ.get(host.removeprefix("$"), host), port), CONNECT_SECONDS).close()
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


def resolve(name: str) -> str:
    """Look a name up; give why it failed, or nothing."""
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        return str(error)
    return ""


def examine(wanted: dict[str, list[list[str]]], patience: float) -> dict[str, dict[str, str]]:
    """Try all of it; give the failures of each kind by name, empty where there was none."""
    until = time.monotonic() + patience
    tries = {(kind, row[0]): row[1:] for kind, rows in wanted.items() for row in rows}
    said: dict[tuple[str, str], str] = {}
    with ThreadPoolExecutor(16) as pool:
        while True:
            left = [key for key in tries if key not in said or (said[key] == "") == (key[0] == "shut")]
            if not left or (said and time.monotonic() > until):
                break
            if any(kind == "shut" for kind, _ in left):
                # The policies are not here yet: what they keep it from is open, and so is what they ought to allow.
                left = list(tries)
            if said:
                time.sleep(0.5)
            jobs = {
                key: pool.submit(resolve, tries[key][0])
                if key[0] == "names"
                else pool.submit(connect, tries[key][0], int(tries[key][1]))
                for key in left
            }
            said |= {key: job.result() for key, job in jobs.items()}
    return {kind: {name: said[key] for key in said if key[0] == kind for name in [key[1]]} for kind in wanted}


if __name__ == "__main__":
    found = examine(json.loads(sys.argv[1]), float(sys.argv[2]) if sys.argv[2:] else PATIENCE_SECONDS)
    print(json.dumps({"time": time.time(), **found}))

"""The program of the probe. It reports which names a lab can resolve, and which addresses a lab can reach.

A network plugin needs some seconds to apply the policies to a new pod, so unexpected results are tried again.
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
    """Open a connection. Return the reason of a failure, or an empty string."""
    try:
        socket.create_connection((os.environ.get(host.removeprefix("$"), host), port), CONNECT_SECONDS).close()
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


def resolve(name: str) -> str:
    """Resolve a name. Return the reason of a failure, or an empty string."""
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        return str(error)
    return ""


def examine(wanted: dict[str, list[list[str]]], patience: float) -> dict[str, dict[str, str]]:
    """Try all names and addresses. Return a dict by kind and name: the reason of a failure, or an empty string."""
    until = time.monotonic() + patience
    tries = {(kind, row[0]): row[1:] for kind, rows in wanted.items() for row in rows}
    results: dict[tuple[str, str], str] = {}
    with ThreadPoolExecutor(16) as pool:
        while True:
            left = [key for key in tries if key not in results or (results[key] == "") == (key[0] == "shut")]
            if not left or (results and time.monotonic() > until):
                break
            if any(kind == "shut" for kind, _ in left):
                # A forbidden port is still open, so the policies are not in force yet. Try the allowed ports again,
                # too.
                left = list(tries)
            if results:
                time.sleep(0.5)
            jobs = {
                key: pool.submit(resolve, tries[key][0])
                if key[0] == "names"
                else pool.submit(connect, tries[key][0], int(tries[key][1]))
                for key in left
            }
            results |= {key: job.result() for key, job in jobs.items()}
    return {kind: {name: results[key] for key in results if key[0] == kind for name in [key[1]]} for kind in wanted}


if __name__ == "__main__":
    found = examine(json.loads(sys.argv[1]), float(sys.argv[2]) if sys.argv[2:] else PATIENCE_SECONDS)
    print(json.dumps({"time": time.time(), **found}))

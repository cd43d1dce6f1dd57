"""The program that reports from the hub's pod: the hub's health, labs and time, and the fileserver's answer.

The request to the fileserver has an unknown path, so it changes nothing. The fileserver checks the hub's token first.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HUB, METRICS = "http://127.0.0.1:8081", f"http://127.0.0.1:{os.environ.get('HUB_METRICS_PORT') or 9464}"
SECONDS = 5
HEALTHY = 200
# Requests inside the cluster bypass an HTTP proxy that the environment names.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Return the status and the body, or 0 and the reason if there was no answer."""
    try:
        with opener.open(urllib.request.Request(url, None, headers, method=method), timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.reason
    except OSError as error:
        return 0, str(getattr(error, "reason", error))


def ask_fileserver() -> tuple[int, str]:
    """Return the fileserver's answer to the hub's token."""
    file = os.environ.get("FILESERVER_TOKEN_FILE")
    token = Path(file).read_text().strip() if file else os.environ.get("FILESERVER_TOKEN", "")
    url = os.environ.get("FILESERVER_URL") or "http://fileserver.jupyterlabdemo:8080"
    return fetch(f"{url}/doctor", "PUT", Authorization=f"Bearer {token}")


def read_metrics(text: str, prefix: str) -> dict[str, float]:
    """Return the values of one metric. The keys are its labels, as the text between the braces."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith((f"{prefix}{{", f"{prefix} "))]
    return {name.partition("{")[2].rstrip("}"): float(value) for name, value in lines}


if __name__ == "__main__":
    hub, metrics = sys.argv[1:3] or (HUB, METRICS)
    health, body = fetch(f"{hub}/hub/health")
    status, text = fetch(f"{metrics}/metrics")
    report = {
        "fileserver": ask_fileserver(),
        "time": time.time(),
        "health": health,
        "said": body if health != HEALTHY else "",
        "metrics": "" if status == HEALTHY else f"{status} {text}" if status else text,
        "labs": read_metrics(text, "labhub_labs"),
        "watch_age": max(read_metrics(text, "labhub_watch_age_seconds").values(), default=-1.0),
    }
    print(json.dumps(report))

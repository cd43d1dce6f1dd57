"""In the hub's pod: whether it is well, how many labs there are, and what time it is."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request

HUB, METRICS = "http://127.0.0.1:8081", "http://127.0.0.1:9464"
SECONDS = 5
HEALTHY = 200
# What goes to this very pod asks no proxy.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str) -> tuple[int, str]:
    """Give status and body; 0 and the reason if there was no answer."""
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.reason
    except OSError as error:
        return 0, str(getattr(error, "reason", error))


def read_metrics(text: str, prefix: str) -> dict[str, float]:
    """Read metrics of one name, by what stands between the braces."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith((f"{prefix}{{", f"{prefix} "))]
    return {name.partition("{")[2].rstrip("}"): float(value) for name, value in lines}


if __name__ == "__main__":
    hub, metrics = sys.argv[1:3] or (HUB, METRICS)
    health, said = fetch(f"{hub}/hub/health")
    _, text = fetch(f"{metrics}/metrics")
    told = {
        "time": time.time(),
        "health": health,
        "said": said if health != HEALTHY else "",
        "labs": read_metrics(text, "labhub_labs"),
        "watch_age": max(read_metrics(text, "labhub_watch_age_seconds").values(), default=-1.0),
    }
    print(json.dumps(told))

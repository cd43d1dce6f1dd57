"""Onlookers: threads that request pages repeatedly, and measure the answers while a hub is under load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from benchmarks.scaling.hollow import ANSWER
from benchmarks.scaling.hubs import Hub


@dataclass
class Onlooker:
    """The measurements of pages that a thread requests repeatedly.

    Attributes
    ----------
    worst
        Seconds of the slowest answer.
    failed
        The unexpected answers.
    """

    worst: float = 0.0
    asked: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def looking(
    urls: Sequence[str], good: Callable[[httpx.Response], bool], token: str = "", every: float = 0.1
) -> Iterator[Onlooker]:
    """Request these pages one after another in a thread, until the end of the block. Yield the measurements."""
    seen, done = Onlooker(), threading.Event()

    def look() -> None:
        headers = {"Authorization": f"token {token}"} if token else {}
        with httpx.Client(timeout=60, headers=headers) as http:
            while not done.wait(every):
                url = urls[seen.asked % len(urls)]
                start = time.monotonic()
                try:
                    response = http.get(url)
                    if not good(response):
                        seen.failed.append(f"{response.status_code} {url}")
                except httpx.HTTPError as error:
                    seen.failed.append(f"{error!r} {url}")
                seen.worst = max(seen.worst, time.monotonic() - start)
                seen.asked += 1

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextmanager
def looking_at_health(hub: Hub, every: float = 0.1) -> Iterator[Onlooker]:
    """Request the health page and the metrics of the hub repeatedly, until the end of the block."""
    urls = [f"{hub.hub_url}/hub/health"] * 9 + [f"{hub.hub_url}/hub/metrics"]
    with looking(urls, lambda response: response.status_code == 200, hub.token, every) as seen:
        yield seen


@contextmanager
def looking_at_labs(hub: Hub, names: Sequence[str]) -> Iterator[Onlooker]:
    """Request a page of each user's lab repeatedly, until the end of the block."""
    urls = [f"{hub.url}/user/{name}/api" for name in names]
    with looking(urls, lambda response: response.content == ANSWER) as seen:
        yield seen

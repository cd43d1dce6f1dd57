"""What Kubernetes' API answers to a new pod, and what the hub does then."""

from __future__ import annotations

import logging
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api
from labhub.labs.spawn_errors import Failed
from labhub.labs.spawner import LabSpawner

POD = {"metadata": {"name": "lab-5150"}}
BUSY = (429, "too many requests, please try again later")
FORBIDDEN = (403, 'pods "lab-5150" is forbidden: exceeded quota: labs')


async def create(*answers: tuple[int, str]) -> list[dict[str, Any]]:
    """Have a pod made by an API that gives these answers; give what it was sent."""
    left, sent = list(answers), []

    async def answer(request: web.Request) -> web.Response:
        sent.append(await request.json())
        status, message = left.pop(0)
        return web.json_response({"kind": "Status", "message": message}, status=status)

    app = web.Application()
    app.router.add_post("/api/v1/namespaces/labs/pods", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with ApiClient(Configuration(host=f"http://127.0.0.1:{port}")) as client:
            spawner: Any = SimpleNamespace(
                api=CoreV1Api(client),
                namespace="labs",
                k8s_api_request_timeout=5,
                k8s_api_request_retry_timeout=30,
                log=logging.getLogger("test"),
                _key="labs/lab-5150",
            )
            spawner._is_created = partial(LabSpawner._is_created, spawner)
            await LabSpawner._create(spawner, POD)
    finally:
        await runner.cleanup()
    return sent


@pytest.mark.asyncio
async def test_an_api_that_is_too_busy_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    assert await create(BUSY, (201, "")) == [POD, POD]
    assert f"the API of Kubernetes does not answer: ApiException: 429 {BUSY[1]}" in caplog.text


@pytest.mark.asyncio
async def test_a_refusal_is_not_asked_again() -> None:
    with pytest.raises(Failed, match="quota"):
        await create(FORBIDDEN)

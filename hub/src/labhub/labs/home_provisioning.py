"""Creation of home and project folders through the fileserver's API. docs/dev/fileserver.md describes the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

import aiohttp

from labhub.infra.http_client import get_session
from labhub.models.identity import Identity

# The fileserver answers a request in about a millisecond.
REQUEST_TIMEOUT = aiohttp.ClientTimeout(5)
# A restarted fileserver answers after a few seconds, or after up to a minute if Kubernetes attaches its disk to another
# node.
RETRY_SECONDS = 60.0
PAUSE_MIN, PAUSE_MAX = 0.2, 2.0


class ProvisioningError(Exception):
    """Error for a folder that the fileserver cannot create. The hub shows the message to the user."""


class _TransientError(Exception):
    """Error for a transient failure of the fileserver, after which the client repeats the request."""


class HomeProvisioner:
    """Client of the fileserver's API.

    Parameters
    ----------
    url
        URL of the fileserver's API: http://<host>:<port>.
    token
        Secret that the hub and the fileserver share.
    retry_seconds
        Time in seconds for which the client repeats failed requests while the fileserver does not answer.
    """

    def __init__(self, url: str, token: str, retry_seconds: float = RETRY_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._retry_seconds = retry_seconds
        self._headers = {"Authorization": f"Bearer {token}"}

    async def create_folders(self, identity: Identity, on_delay: Callable[[str], None] = lambda _: None) -> None:
        """Create the user's home and the project folder of each group. Existing folders stay unchanged.

        Parameters
        ----------
        on_delay
            Called before each retry, with the reason for the failure.

        Raises
        ------
        ProvisioningError
            Raised if the fileserver refuses to create a folder, or does not answer in time.
        """
        deadline = time.monotonic() + self._retry_seconds
        # Create the home before the project folders. So each user has only one pending request while the fileserver is
        # unavailable.
        await self._create("homes", identity.uid, deadline, on_delay)
        tasks = [
            asyncio.ensure_future(self._create("projects", group.gid, deadline, on_delay)) for group in identity.groups
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            # After the first error the start of the lab fails, so cancel the other requests.
            for task in tasks:
                task.cancel()

    async def _create(self, kind: str, number: int, deadline: float, on_delay: Callable[[str], None]) -> None:
        pause = PAUSE_MIN
        while True:
            try:
                await self._send(kind, number)
                return
            except _TransientError as error:
                if time.monotonic() + pause > deadline:
                    message = f"The shared storage does not answer ({error}). Try again in a minute."
                    raise ProvisioningError(message) from error
                on_delay(str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)

    async def _send(self, kind: str, number: int) -> None:
        url = f"{self._url}/v1/{kind}/{number}"
        try:
            async with get_session().put(url, headers=self._headers, timeout=REQUEST_TIMEOUT) as response:
                status, message = response.status, await _read_error(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _TransientError(str(error) or type(error).__name__) from error
        if status == HTTPStatus.INSUFFICIENT_STORAGE:
            raise ProvisioningError(f"The shared storage is full ({message}). Report this to an administrator.")
        if status >= 500:
            raise _TransientError(f"{status}: {message}")
        if status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            folder = "Your home" if kind == "homes" else f"The project folder of your group {number}"
            raise ProvisioningError(f"{folder} cannot be used ({status}: {message}). Report this to an administrator.")


async def _read_error(response: aiohttp.ClientResponse) -> str:
    """Return the error message in a response.

    If the body is not the fileserver's JSON, for example if a proxy has sent the response, return the HTTP reason
    phrase.
    """
    try:
        return str((await response.json(content_type=None))["error"])
    except (ValueError, KeyError, TypeError):
        return response.reason or "no reason"

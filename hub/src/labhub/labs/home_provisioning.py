"""Homes and project folders: the fileserver makes them, as the hub asks. docs/dev/fileserver.md has its API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

import aiohttp

from labhub.infra import http_session as connections
from labhub.models.identity import Identity

# One request takes the fileserver a millisecond.
TIMEOUT = aiohttp.ClientTimeout(5)
# A server that was restarted is back in a few seconds, one that comes up on another node, with its disk, in a minute.
PATIENCE_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0


class FoldersError(Exception):
    """A folder cannot be had; the message is for the user."""


class _Again(Exception):
    """What may be otherwise in a moment."""


class Folders:
    """Asks the fileserver for folders.

    Parameters
    ----------
    url
        Of its API: http://<host>:<port>.
    token
        What hub and fileserver share.
    patience
        Seconds for which a fileserver that does not answer is asked again.
    """

    def __init__(self, url: str, token: str, patience: float = PATIENCE_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._patience = patience
        self._headers = {"Authorization": f"Bearer {token}"}

    async def make(self, identity: Identity, tell: Callable[[str], None] = lambda _: None) -> None:
        """See that somebody's home is there, and the folder of each of their groups.

        Parameters
        ----------
        tell
            Called with the reason, each time that the fileserver does not answer and will be asked again.

        Raises
        ------
        FoldersError
            One is not, after some tries.
        """
        deadline = time.monotonic() + self._patience
        # The home first: while the server is away, that is one request for each who waits, and not one for each group.
        await self._make("homes", identity.uid, deadline, tell)
        asked = [asyncio.ensure_future(self._make("projects", group.gid, deadline, tell)) for group in identity.groups]
        try:
            await asyncio.gather(*asked)
        finally:
            # The first no is the answer; nobody waits for the others.
            for one in asked:
                one.cancel()

    async def _make(self, kind: str, number: int, deadline: float, tell: Callable[[str], None]) -> None:
        """Ask for one folder, until the deadline more than once if need be."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._ask(kind, number)
                return
            except _Again as error:
                if time.monotonic() + pause > deadline:
                    message = f"The shared storage does not answer ({error}). Try again in a minute."
                    raise FoldersError(message) from error
                tell(str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _ask(self, kind: str, number: int) -> None:
        url = f"{self._url}/v1/{kind}/{number}"
        try:
            async with connections.session().put(url, headers=self._headers, timeout=TIMEOUT) as response:
                status, said = response.status, await _said(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _Again(str(error) or type(error).__name__) from error
        if status == HTTPStatus.INSUFFICIENT_STORAGE:
            raise FoldersError(f"The shared storage is full: {said}.")
        if status >= 500:
            raise _Again(f"{status}: {said}")
        if status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            what = "Your home" if kind == "homes" else f"The folder of your group {number}"
            raise FoldersError(f"{what} cannot be used. {status}: {said}.")


async def _said(response: aiohttp.ClientResponse) -> str:
    """Give the error that an answer names; whoever answered, it is one short line."""
    try:
        return str((await response.json(content_type=None))["error"])
    except (ValueError, KeyError, TypeError):
        return response.reason or "no reason"

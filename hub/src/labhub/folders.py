"""Homes and project folders: the fileserver makes them, as the hub asks. docs/dev/fileserver.md has its API."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import aiohttp

from labhub import connections
from labhub.identity import Identity

# One request takes the fileserver a millisecond; a server that was restarted is back in a few seconds.
TIMEOUT = aiohttp.ClientTimeout(5)
PAUSES = (0.2, 1, 3)


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
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def make(self, identity: Identity) -> None:
        """See that somebody's home is there, and the folder of each of their groups.

        Raises
        ------
        FoldersError
            One is not, after some tries.
        """
        wanted = [("homes", identity.uid), *(("projects", group.gid) for group in identity.groups)]
        asked = [self._make(kind, number) for kind, number in wanted]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _make(self, kind: str, number: int) -> None:
        """Ask for one folder, more than once if need be."""
        for pause in (*PAUSES, None):
            try:
                await self._ask(kind, number)
                return
            except _Again as error:
                if pause is None:
                    message = f"The shared storage does not answer ({error}). Try again in a minute."
                    raise FoldersError(message) from error
                await asyncio.sleep(pause)

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

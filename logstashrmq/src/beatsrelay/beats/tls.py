"""The certificates that Beats see: read at the start, and again when their files change."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings

logger = logging.getLogger(__name__)

VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
LOOK_SECONDS = 2


def make_context(settings: Settings) -> ssl.SSLContext:
    """Make a context from the files as they are now.

    Raises
    ------
    OSError
        A file cannot be read, or is not what it should be (ssl.SSLError is one, too).
    """
    assert settings.beats_cert  # noqa: S101  (settings.check_together)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # Beats resume no session: a ticket is a third of what a handshake costs
    context.load_cert_chain(settings.beats_cert, settings.beats_key)
    context.verify_mode = VERIFY[settings.beats_verify]
    if settings.beats_ca and settings.beats_verify != "none":
        context.load_verify_locations(settings.beats_ca)
    return context


def content(path: Path) -> bytes | None:
    """Give what is in a file; none if it cannot be read now: whoever changes it may be in the middle of it."""
    try:
        return path.read_bytes()
    except OSError:
        return None


class Certificates:
    """The context for the next handshake, if there is TLS at all.

    Raises
    ------
    OSError
        The files are of no use.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._files = [path for path in (settings.beats_cert, settings.beats_key, settings.beats_ca) if path]
        self._seen = self._look()
        self.context = make_context(settings) if settings.beats_tls else None

    def _look(self) -> list[bytes | None]:
        return [content(path) for path in self._files]

    def reload(self) -> None:
        """Read the files again; if they are of no use, stay with what was."""
        if not self.context:
            return
        try:
            self.context = make_context(self._settings)
        except OSError as error:
            self._metrics.certificates_failed.inc()
            logger.warning("the new certificates are of no use", extra={"reason": str(error)})
        else:
            self._metrics.certificates_loaded.inc()
            logger.info("read the certificates again")

    async def watch(self) -> None:
        """Read the files again whenever what is in them has changed, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if (found := self._look()) != self._seen:
                self._seen = found
                self.reload()

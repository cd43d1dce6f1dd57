"""The TLS certificates of the Beats port. They are loaded at the start, and reloaded when their files change."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings

logger = logging.getLogger(__name__)

VERIFY_MODES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
POLL_SECONDS = 2


def create_server_context(settings: Settings) -> ssl.SSLContext:
    """Return a TLS context for the Beats port, with the current content of the certificate files.

    Raises
    ------
    OSError
        Raised if a file cannot be read, or is not a valid PEM file. `ssl.SSLError` is a subclass.
    """
    assert settings.beats_cert  # noqa: S101  (settings.combinations requires it)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # Beats do not resume sessions, and tickets need a third of the CPU time of a handshake
    context.load_cert_chain(settings.beats_cert, settings.beats_key)
    context.verify_mode = VERIFY_MODES[settings.beats_verify]
    if settings.beats_ca and settings.beats_verify != "none":
        context.load_verify_locations(settings.beats_ca)
    return context


def read_content(path: Path) -> bytes | None:
    """Return the content of a file, or None if it cannot be read, for example while it is being replaced."""
    try:
        return path.read_bytes()
    except OSError:
        return None


class Certificates:
    """The certificates of the Beats port, which the server uses for the next handshake.

    Attributes
    ----------
    context
        TLS context for the next handshake, or None if the settings disable TLS.

    Raises
    ------
    OSError
        Raised if a file cannot be read, or is not a valid PEM file.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._files = [path for path in (settings.beats_cert, settings.beats_key, settings.beats_ca) if path]
        self._contents = self._read_contents()
        self.context = create_server_context(settings) if settings.beats_tls else None

    def _read_contents(self) -> list[bytes | None]:
        return [read_content(path) for path in self._files]

    def reload(self) -> None:
        """Load the files again. If they cannot be loaded, log the reason and keep the current certificates."""
        if not self.context:
            return
        try:
            self.context = create_server_context(self._settings)
        except OSError as error:
            self._metrics.certificates_failed.inc()
            logger.warning("cannot load the new certificates", extra={"event.reason": str(error)})
        else:
            self._metrics.certificates_loaded.inc()
            logger.info("loaded the new certificates")

    async def watch_files(self) -> None:
        """Load the files again whenever their content changes, until this task is cancelled.

        The method compares contents. The files of a mounted Secret are symbolic links, whose own times do not show a
        change.
        """
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if (contents := self._read_contents()) != self._contents:
                self._contents = contents
                self.reload()

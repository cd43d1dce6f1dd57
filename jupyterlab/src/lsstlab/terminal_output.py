"""The terminal manager with which a lab bounds the memory that a terminal's output takes.

`TerminalsExtensionApp.terminal_manager_class` selects it. It overrides a public method only.
"""

from __future__ import annotations

from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager
from terminado.management import PtyWithClients
from tornado.ioloop import IOLoop

RETRY_SECONDS = 0.02


class LabTerminalManager(TerminalManager):
    """A terminal manager that stops reading a program's output while a page cannot take more of it.

    The program then waits, as in a terminal over ssh. Otherwise `yes` adds 70 MB per second to the lab's memory.
    """

    def pty_read(self, fd: int, events: Any = None) -> None:
        """Send a program's output to the pages. Then wait until they have received it."""
        super().pty_read(fd, events)
        terminal = self.ptys_by_fd.get(fd)
        if terminal and is_congested(terminal):
            IOLoop.current().remove_handler(fd)
            self._resume_later(fd, terminal)

    def _resume_later(self, fd: int, terminal: PtyWithClients) -> None:
        IOLoop.current().call_later(RETRY_SECONDS, self._resume, fd, terminal)

    def _resume(self, fd: int, terminal: PtyWithClients) -> None:
        if self.ptys_by_fd.get(fd) is not terminal:
            return  # the terminal has been closed
        if is_congested(terminal):
            self._resume_later(fd, terminal)
        else:
            self.start_reading(terminal)


def is_congested(terminal: PtyWithClients) -> bool:
    """Return whether output waits for the connection of a page."""
    connections = [client.ws_connection for client in terminal.clients]
    return any(connection and connection.stream.writing() for connection in connections)

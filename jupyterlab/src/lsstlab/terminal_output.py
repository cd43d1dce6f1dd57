"""The terminal manager of a lab, which limits how much memory the output of a terminal uses.

The option `TerminalsExtensionApp.terminal_manager_class` selects the class, which overrides only a public method.
"""

from __future__ import annotations

from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager
from terminado.management import PtyWithClients
from tornado.ioloop import IOLoop

RETRY_SECONDS = 0.02


class LabTerminalManager(TerminalManager):
    """A terminal manager that reads no output of a program while earlier output still waits for a page's connection.

    The program then waits when it prints, as over a slow ssh connection. Otherwise, for example, the command `yes`
    would add 70 MB per second to the lab's memory.
    """

    def pty_read(self, fd: int, events: Any = None) -> None:
        """Read output of a program and send it to the connected pages. Then read no more until the output is sent."""
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
    """Return whether output of a terminal still waits in the send buffer of a page's connection."""
    connections = [client.ws_connection for client in terminal.clients]
    return any(connection and connection.stream.writing() for connection in connections)

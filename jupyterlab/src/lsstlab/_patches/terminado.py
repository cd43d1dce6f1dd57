"""A patch of terminado, with which the lab can show a text in open terminals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsstlab._patches.guard import is_tested

PROJECT, TESTED = "terminado", ("0.18.1",)
EFFECT = "terminals do not show that the lab is about to stop; the page does"


def create_terminal_writer(web_app: Any) -> Callable[[str], None]:
    """Return a function that shows a text in all open terminals of a lab, as the command `wall` does.

    What: the function handles the text as `TermManager.pty_read` handles the output of a program. It appends the text
    to the `read_buffer` of each terminal, and calls `on_pty_read` of each WebSocket. Programs do not receive the text.

    Why: a user may work only in a terminal, and not see the notifications on the page.

    Gain: no time. A user of a terminal sees a warning before the hub stops the lab.

    Unnecessary when: terminado has a public method that sends a text to the clients of a terminal.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        return lambda text: None

    def write(text: str) -> None:
        manager = web_app.settings.get("terminal_manager")
        for terminal in getattr(manager, "terminals", {}).values():
            terminal.read_buffer.append(text)  # terminado sends this buffer to each page that opens the terminal later
            for client in terminal.clients:
                client.on_pty_read(text)

    return write

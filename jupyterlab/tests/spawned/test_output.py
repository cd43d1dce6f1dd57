"""Tests of large output of a kernel or a terminal: the output that a page gets, and the lab's memory.

In the tests, the page reads slowly, or is closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from labtesting.hub_process import wait_until
from labtesting.labclient import PROMPT, Kernel, Output, SpawnedLab

Spawn = Callable[..., SpawnedLab]
MB = 1_000_000
# Code of a cell: an endless loop that prints, and that writes the amount of its output so far, in MB, into a file. The
# loop ends when the kernel is shut down.
LOOP = """
from IPython.display import display
from pathlib import Path
from comm import create_comm
comm, number = create_comm("a.widget"), 0
while True:
    {statement}
    number += {mb}
    Path({counter!r}).write_text(str(number))
"""
PRINT = "for _ in range(5000): print('x' * 999)", 5
WIDGET = "[comm.send({'value': 'x' * 100_000}) for _ in range(50)]", 5
DISPLAY = "[display({'text/plain': 'x' * 100_000}, raw=True) for _ in range(50)]", 5


def memory(lab: SpawnedLab) -> int:
    """Return the memory of the lab's server process in MB. The memory of kernels is not included."""
    status = Path(f"/proc/{lab.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 // MB


def start_kernel(lab: SpawnedLab) -> str:
    """Start a kernel and return the path of its WebSocket.

    The path contains a session id. A page that connects again with the same session id gets the kept output.
    """
    kernel_id = lab.client.request("POST", "api/kernels", json={"name": "python3"}).json()["id"]
    return f"api/kernels/{kernel_id}/channels?session_id=a-page"


def kernel_model(lab: SpawnedLab) -> dict[str, object]:
    """Return what the lab's API returns about its kernel, and check that the lab has only one kernel."""
    (model,) = lab.client.request("GET", "api/kernels").json()
    return dict(model)


def execute(kernel: Kernel, code: str) -> str:
    """Send a request that runs a cell, and return the id of the request without waiting for the end of the cell."""
    return kernel.send("execute_request", {"code": code, "silent": False, "allow_stdin": False})


def read_cell(kernel: Kernel, message_id: str) -> Output:
    """Read the output of a cell until the cell ends, and return the output.

    Parameters
    ----------
    kernel
        The connection to the kernel.
    message_id
        The id of the request that runs the cell.
    """
    output = Output()
    for message in kernel.replies(message_id, 120):
        if message["msg_type"] == "stream":
            name = message["content"]["name"]
            setattr(output, name, getattr(output, name) + message["content"]["text"])
        elif message["msg_type"] == "error":
            output.error = message["content"]["ename"]
    return output


def test_a_cell_that_prints_9_mb_shows_all_of_it(spawn: Spawn) -> None:
    with spawn().client.kernel("python3") as kernel:
        for _ in range(2):
            output = kernel.execute("for number in range(90_000): print(f'{number:99}')", 120)
            assert output.stdout == "".join(f"{number:99}\n" for number in range(90_000))
            assert output.stderr == ""


def test_excess_text_is_left_out_but_not_the_error(spawn: Spawn) -> None:
    with spawn().client.kernel("python3") as kernel:
        output = kernel.execute("print(('x' * 99 + '\\n') * 1_000_000); 1 / 0", 120)
    assert "JupyterLab shows 10 MB of text at once, then 1 MB per second" in output.stderr
    assert len(output.stdout) < 100 * MB
    assert output.error == "ZeroDivisionError: division by zero"


# A slow page with figures or widgets is not a case: the lab's memory stays small there without limits, too.
@pytest.mark.parametrize(
    ("statement", "mb", "closed"),
    [(*PRINT, False), (*PRINT, True), (*DISPLAY, True), (*WIDGET, True)],
    ids=["text-slow", "text-closed", "figures-closed", "widgets-closed"],
)
def test_a_loop_without_an_end_does_not_end_the_lab(
    spawn: Spawn, tmp_path: Path, statement: str, mb: int, closed: bool
) -> None:
    lab, counter = spawn(), tmp_path / "counter"
    channels = start_kernel(lab)
    with lab.client.socket(channels) as socket:
        kernel = Kernel(socket)
        kernel.wait_until_ready()
        before = memory(lab)
        execute(kernel, LOOP.format(statement=statement, mb=mb, counter=str(counter)))
        if closed:
            socket.close()
        wait_until(lambda: counter.exists() and int(counter.read_text() or 0) > 1000, "the loop puts out 1 GB", 300)
        # The limits of the lab do not include ZeroMQ, which keeps up to 1,000 messages for each of the lab's two
        # connections to the kernel. So the lab may use up to 600 MB more than before the loop.
        assert memory(lab) - before < 600
        lab.client.request("DELETE", channels.split("/channels")[0])


def run_without_page(lab: SpawnedLab, signal: Path, code: str) -> Output:
    """Run a cell while the page is closed, and return the output that the page gets when it connects again."""
    started = signal.with_name("started")
    wait = (
        f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\n"
        f"while not pathlib.Path({str(signal)!r}).exists(): time.sleep(0.05)\n"
    )
    channels = start_kernel(lab)
    with lab.client.socket(channels) as socket:
        kernel = Kernel(socket)
        kernel.wait_until_ready()
        message_id = execute(kernel, wait + code)
    wait_until(started.exists, "the cell runs")
    wait_until(lambda: kernel_model(lab)["connections"] == 0, "the lab knows that the page has gone")
    signal.touch()
    wait_until(lambda: kernel_model(lab)["execution_state"] == "idle", "the cell ends", 120)
    with lab.client.socket(channels) as socket:
        return read_cell(Kernel(socket), message_id)


def test_a_page_that_connects_again_gets_the_end_of_the_output(spawn: Spawn, tmp_path: Path) -> None:
    output = run_without_page(
        spawn(), tmp_path / "signal", "for number in range(300_000): print(f'{number:99}')\n1 / 0"
    )
    # The lab leaves out whole messages, so the kept output can be smaller than the limit of 8 MB. The lab always keeps
    # the last 3 MB, which this assertion checks.
    assert output.stdout.endswith("".join(f"{number:99}\n" for number in range(270_000, 300_000)))
    assert len(output.stdout) < 10 * MB
    assert output.stderr == (
        "[Output left out: while your page was not connected, the lab kept only the last part of this output.]\n"
    )
    assert output.error == "ZeroDivisionError"


def test_a_page_that_connects_again_gets_text_after_figures(spawn: Spawn, tmp_path: Path) -> None:
    figure = "display({'text/plain': 'x' * 1_000_000}, raw=True)"
    code = f"for number in range(30): {figure}; print(number, flush=True); time.sleep(0.01)"
    output = run_without_page(spawn(), tmp_path / "signal", code)
    assert output.stdout == "".join(f"{number}\n" for number in range(30))
    assert output.stderr == ""


def test_a_terminal_waits_for_a_slow_page_and_loses_nothing(spawn: Spawn, tmp_path: Path) -> None:
    lab, counter, total = spawn(), tmp_path / "counter", 200
    piece = "head -c 1000000 /dev/zero | tr '\\0' '\\170'"  # prints the letter x a million times
    program = f"for i in $(seq {total}); do {piece}; echo $i >{counter}; done; echo; echo e''nd"
    seen: list[str] = []

    def waits() -> bool:
        seen.append(counter.read_text() if counter.exists() else "")
        return bool(seen[-1]) and seen[-40:] == [seen[-1]] * 40

    with lab.client.terminal() as terminal:
        terminal.read_until(PROMPT)
        before = memory(lab)
        terminal.type(program)
        wait_until(waits, "the program waits, or has ended", 120)
        assert memory(lab) - before < total / 2
        received = 0
        text = ""
        while "end" not in text:
            kind, *rest = json.loads(terminal.socket.recv(120))
            if kind == "stdout":
                received += rest[0].count("x")
                text = text[-10:] + rest[0]
    assert received == total * MB
    assert "Task exception was never retrieved" not in (tmp_path / "lab.log").read_text()

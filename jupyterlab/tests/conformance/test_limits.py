"""Tests of the size of requests that a standalone hub, its proxy and its lab accept."""

from __future__ import annotations

import pytest
from labtesting.labclient import Kernel, LabClient
from websockets.sync.client import connect

# Cookies ignore the port, so a browser sends the cookies of all programs on 127.0.0.1 to the lab.
COOKIES = "; ".join(f"{number:03}={'x' * 4000}" for number in range(18))  # 72 kB


def with_cookies(lab: LabClient, path: str) -> dict[str, str]:
    """Return a Cookie header with the session's cookies for a path and with `COOKIES`."""
    return {"Cookie": f"{lab.http.build_request('GET', path).headers['Cookie']}; {COOKIES}"}


@pytest.mark.parametrize("path", ["/hub/home", "lab", "api/contents"])
def test_cookies_of_72_kb_reach_hub_and_lab(lab: LabClient, path: str) -> None:
    path = path if path.startswith("/") else lab.base + path
    answer = lab.http.get(path, headers=with_cookies(lab, path), follow_redirects=False)
    assert answer.status_code == 200


def test_a_kernel_runs_in_a_browser_with_72_kb_of_cookies(lab: LabClient) -> None:
    kernel_id = lab.request("POST", "api/kernels", json={"name": "python3"}).json()["id"]
    url = f"{lab.url.replace('http', 'ws', 1)}{lab.base}api/kernels/{kernel_id}/channels"
    with connect(url, additional_headers=with_cookies(lab, lab.base)) as socket:
        kernel = Kernel(socket)
        kernel.wait_until_ready()
        assert kernel.execute("print(6 * 7)").stdout == "42\n"
    lab.request("DELETE", f"api/kernels/{kernel_id}")


def test_a_terminal_keeps_10_000_lines(lab: LabClient) -> None:
    settings = lab.request("GET", "lab/api/settings/@jupyterlab/terminal-extension:plugin").json()
    assert settings["schema"]["properties"]["scrollback"]["default"] == 10_000


def test_a_kernel_receives_a_message_of_12_mb(lab: LabClient) -> None:
    # An upload widget sends a file in one message.
    with lab.kernel("python3") as kernel:
        assert kernel.execute(f"print(len('{'x' * 12_000_000}'))", 120).stdout == "12000000\n"

"""Tests that a standalone lab accepts large headers and large messages. The hub and the proxy must also accept them."""

from __future__ import annotations

import pytest
from labtesting.labclient import Kernel, LabClient
from websockets.sync.client import connect

# A browser sends all cookies of 127.0.0.1 to the lab, even cookies that programs on other ports have set.
COOKIES = "; ".join(f"{number:03}={'x' * 4000}" for number in range(18))  # 72 kB


def with_cookies(lab: LabClient, path: str) -> dict[str, str]:
    """Return a Cookie header with `COOKIES` and the cookies that a logged-in user sends for this path."""
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
    # For example, an upload widget in a notebook sends a file to the kernel in one message.
    with lab.kernel("python3") as kernel:
        assert kernel.execute(f"print(len('{'x' * 12_000_000}'))", 120).stdout == "12000000\n"

"""A person at JupyterLab through TLS: in Chromium, with large files, for long."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from labtesting.browser import open_browser
from labtesting.edge import Edge, run_edge
from labtesting.hub_process import wait_until
from labtesting.labclient import LabClient, LoneHub
from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from nginx.tests.upstream import run_echo, run_upstream

SECONDS = 1000
GIB = 1024**3
IDLE = 90


def log_in(page: Page, hub: LoneHub, edge: Edge) -> None:
    """Log in and wait for the launcher."""
    page.set_default_timeout(60 * SECONDS)
    expect.set_options(timeout=60 * SECONDS)
    page.goto(edge.url)
    page.get_by_label("Username").fill(hub.user)
    page.get_by_label("Password").fill(hub.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".jp-LauncherCard").first).to_be_visible()


@pytest.mark.timeout(400)
def test_chromium_works_through_tls_with_a_file_of_1_gb(demo: LoneHub, front: Edge, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    sent = hashlib.sha256()
    with big.open("wb") as file:
        for number in range(1024):
            piece = number.to_bytes(8) * (GIB // 1024 // 8)
            file.write(piece)
            sent.update(piece)
    with open_browser() as browser:
        page = browser.new_page(ignore_https_errors=True, accept_downloads=True)
        log_in(page, demo, front)
        cookies = page.context.cookies()
        assert {cookie["name"] for cookie in cookies if not cookie["secure"]} == set()

        page.locator(".jp-LauncherCard", has_text="Python 3").first.click()
        cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
        cell.click()
        page.keyboard.type("print(6 * 7)")
        page.keyboard.press("Shift+Enter")
        expect(page.locator(".jp-OutputArea-output", has_text="42")).to_be_visible()

        # Through the upload button, in the pieces that JupyterLab makes.
        with page.expect_file_chooser() as chooser:
            page.locator("[data-jp-item-name='uploader'] jp-button").click()
        chooser.value.set_files(big)
        page.locator(".jp-Dialog button", has_text="Upload").click()
        with LabClient(front.url, demo.user, front.trust) as client:
            client.log_in(demo.password)
            client.spawn()
            size = "api/contents/big.bin?content=0"
            wait_until(lambda: client.http.get(client.base + size).json().get("size") == GIB, "it is there", 240)
            with client.terminal() as terminal:
                terminal.type("sha256sum big.bin && rm big.bin; echo $((6*7))done")
                assert sent.hexdigest() in terminal.read_until("42done", 120)


@pytest.mark.timeout(300)
def test_1_gb_in_one_request_comes_and_goes(image: str, tmp_path: Path) -> None:
    piece = bytes(1024**2)
    with (
        run_upstream(body=piece * 1024) as upstream,
        run_edge(tmp_path / "nginx", upstream.address, image=image) as edge,
        edge.client() as client,
    ):
        # The container has 128 MB of memory, 16 MB of /tmp and nothing else to write to.
        assert client.put("/user/vera/files/big", content=(piece for _ in range(1024))).status_code == 200
        assert upstream.received == GIB
        with client.stream("GET", "/user/vera/files/big") as answer:
            assert sum(len(part) for part in answer.iter_bytes(GIB // 64)) == GIB


@pytest.mark.timeout(200)
def test_90_idle_seconds_and_a_new_certificate_end_no_websocket(
    demo: LoneHub, front: Edge, image: str, tmp_path: Path
) -> None:
    with (
        run_echo() as address,
        run_edge(tmp_path / "nginx", address, image=image) as other,
        LabClient(front.url, demo.user, front.trust) as client,
    ):
        client.log_in(demo.password)
        client.spawn()
        # Nothing at all goes through this one, not even a ping.
        url = f"wss://localhost:{other.https_port}/user/vera/proxy/8080/"
        with connect(url, ssl=other.trust, ping_interval=None) as silent, client.kernel("python3") as kernel:
            start = time.monotonic()
            front.authority.write(front.tls)
            (front.tls / "tls.key").chmod(0o644)
            wait_until(lambda: "tls.crt: replaced" in front.log, "the certificate is taken over")
            wait_until(lambda: time.monotonic() - start > IDLE, "time passes", IDLE + 10)
            assert kernel.execute("print('kernel')").stdout == "kernel\n"
            silent.send("silent")
            assert silent.recv(timeout=10) == "silent"


@pytest.mark.timeout(200)
def test_a_hub_that_says_nothing_for_a_minute_is_our_page(image: str, tmp_path: Path) -> None:
    with run_upstream() as upstream, run_edge(tmp_path / "nginx", upstream.address, image=image) as edge:
        upstream.wait = 75
        with edge.client() as client, ThreadPoolExecutor(2) as pool:
            lab = pool.submit(client.get, "/user/vera/git/clone", timeout=100)
            answer = client.get("/hub/home", timeout=100)
            assert answer.status_code == 504
            assert "This takes longer than it should" in answer.text
            upstream.wait = 0
            assert client.get("/hub/home").status_code == 200
            assert lab.result().status_code == 200, "a lab may take its time"


def only_quic(edge: Edge) -> tuple[str, str]:
    """Give what makes Chromium speak nothing else; it then tries one address alone."""
    return f"--origin-to-force-quic-on=localhost:{edge.https_port}", "--host-resolver-rules=MAP localhost 127.0.0.1"


@pytest.mark.timeout(60)
def test_chromium_speaks_http_3_where_it_is_on(image: str, tmp_path: Path) -> None:
    with run_upstream(body=b"<h1>The hub</h1>") as upstream:
        upstream.answers["/hub/home"] = (200, {"Content-Type": "text/html"})
        run = run_edge(tmp_path / "nginx", upstream.address, image=image, settings={"NGINX_HTTP3": "on"})
        with run as edge, open_browser(edge.fingerprint, *only_quic(edge)) as it:
            page = it.new_page()
            page.goto(f"{edge.url}/hub/home")
            assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h3"
            assert page.get_by_role("heading").inner_text() == "The hub"
        assert upstream.asked[-1].headers["host"] == "localhost"

"""Tests of JupyterLab behind a container of nginx's image: Chromium, files of 1 GB and idle connections."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from labtesting.browser import open_browser
from labtesting.edge import Edge, run_edge
from labtesting.hub_process import wait_until
from labtesting.labclient import HubLogin, LabClient
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from nginx.tests.upstream import run_echo, run_upstream

SECONDS = 1000
GIB = 1024**3
IDLE = 90


def log_in(page: Page, hub: HubLogin, edge: Edge, workspace: str) -> None:
    """Log in to the hub in a browser, open the running lab, and wait until JupyterLab shows the launcher."""
    page.set_default_timeout(180 * SECONDS)
    expect.set_options(timeout=180 * SECONDS)
    page.goto(f"{edge.url}/hub/login?next=%2Fuser%2F{hub.user}%2Flab%2Fworkspaces%2F{workspace}")
    page.get_by_label("Username").fill(hub.user)
    page.get_by_label("Password").fill(hub.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".jp-LauncherCard").first).to_be_visible()


def run_cell(page: Page) -> None:
    """Open a new notebook from the launcher, run a cell, and check the cell's output."""
    page.locator(".jp-LauncherCard", has_text="Python 3").first.click()
    expect(page.get_by_role("button", name=re.compile(r"Python 3 .*\| Idle"))).to_be_visible()
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click()
    page.keyboard.type("print(6 * 7)")
    expect(cell).to_have_text("print(6 * 7)")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output", has_text="42")).to_be_visible()


def failures_of(page: Page) -> list[str]:
    """Return a list that gets the error of each failed request of a page when the request fails."""
    failures: list[str] = []
    page.on("requestfailed", lambda request: failures.append(request.failure or ""))
    return failures


def upload(page: Page, file: Path, client: LabClient) -> None:
    """Upload a file with JupyterLab's upload button, and wait until the lab has the whole file.

    JupyterLab sends a large file in several requests.
    """

    def arrived() -> bool:
        answer = client.http.get(f"{client.base}api/contents/{file.name}?content=0")
        return answer.status_code == 200 and bool(answer.json()["size"] == file.stat().st_size)

    failures = failures_of(page)
    with page.expect_file_chooser() as chooser:
        page.locator("[data-jp-item-name='uploader'] jp-button").click()
    chooser.value.set_files(file)
    page.locator(".jp-Dialog button", has_text="Upload").click()
    # Playwright reports failed requests only while the test calls a method of Playwright. So the condition calls
    # page.title(), although it does not need the title.
    wait_until(lambda: page.title() and (failures or arrived()), "the upload ends", 200)
    assert failures == []


def work(page: Page, hub: HubLogin, edge: Edge, file: Path, client: LabClient) -> None:
    """Log in, run a cell and upload a file in the browser. Check that all cookies have the flag `secure`."""
    log_in(page, hub, edge, file.stem)
    assert {cookie["name"] for cookie in page.context.cookies() if not cookie["secure"]} == set()
    run_cell(page)
    upload(page, file, client)


def write_big_file(file: Path) -> str:
    """Write a file of 1 GiB whose 1,024 pieces are all different, and return its SHA-256."""
    digest = hashlib.sha256()
    with file.open("wb") as target:
        for number in range(1024):
            piece = number.to_bytes(8) * (GIB // 1024 // 8)
            target.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def test_chromium_uploads_and_downloads_1_gb_over_tls(demo: HubLogin, front: Edge, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    digest = write_big_file(big)
    with open_browser() as browser, LabClient(front.url, demo.user, front.trust) as client:
        client.log_in(demo.password)
        client.spawn()
        for tries_left in (4, 3, 2, 1, 0):
            page = browser.new_page(ignore_https_errors=True)
            failures = failures_of(page)
            try:
                work(page, demo, front, big, client)
                break
            except (AssertionError, PlaywrightError):
                # Chromium closes its connections when a network interface of the machine is added or removed. The start
                # of a container adds an interface, so the test tries again.
                if "net::ERR_NETWORK_CHANGED" not in failures or not tries_left:
                    raise
            page.context.close()
            big = big.rename(tmp_path / f"big-{tries_left}.bin")
        with client.terminal() as terminal:
            terminal.type(f"sha256sum {big.name}; echo $((6*7))done")
            assert digest in terminal.read_until("42done", 60)
        received = hashlib.sha256()
        with client.http.stream("GET", f"{client.base}files/{big.name}") as answer:
            for piece in answer.iter_bytes(GIB // 256):
                received.update(piece)
        assert received.hexdigest() == digest


def test_one_request_transfers_1_gb(image: str, tmp_path: Path) -> None:
    piece = bytes(1024**2)
    with (
        run_upstream(body=piece * 1024) as upstream,
        run_edge(tmp_path / "nginx", upstream.address, image=image, settings={"NGINX_MAX_BODY": "2g"}) as edge,
        edge.client() as client,
    ):
        # nginx cannot store the file: the container has 128 MB of memory, and can write only to /tmp, which has 16 MB.
        assert client.put("/user/vera/files/big", content=(piece for _ in range(1024))).status_code == 200
        assert upstream.received == GIB
        with client.stream("GET", "/user/vera/files/big") as answer:
            assert sum(len(part) for part in answer.iter_bytes(GIB // 64)) == GIB


@contextmanager
def slow_answers(image: str, folder: Path) -> Iterator[None]:
    """Send one request to a fake hub and one to a fake lab. Both answer after 75 s.

    At the end of the `with` block, check that nginx sends its error page for the hub, and the answer of the lab.
    """
    with (
        run_upstream() as upstream,
        run_edge(folder, upstream.address, image=image) as edge,
        edge.client() as client,
        ThreadPoolExecutor(2) as pool,
    ):
        upstream.wait = 75
        hub, lab = (pool.submit(client.get, path, timeout=100) for path in ("/hub/home", "/user/vera/git/clone"))
        yield
        assert hub.result().status_code == 504
        assert "JupyterLab did not answer in time" in hub.result().text
        assert lab.result().status_code == 200, "the timeout of a lab must be longer than that of the hub"
        upstream.wait = 0
        assert client.get("/hub/home").status_code == 200


def test_idle_websockets_survive_a_new_certificate(demo: HubLogin, front: Edge, image: str, tmp_path: Path) -> None:
    with (
        slow_answers(image, tmp_path / "slow"),
        run_echo() as address,
        run_edge(tmp_path / "nginx", address, image=image) as other,
        LabClient(front.url, demo.user, front.trust) as client,
    ):
        client.log_in(demo.password)
        client.spawn()
        # For more than IDLE seconds, neither side sends data or a ping over the WebSocket `silent`.
        url = f"wss://localhost:{other.https_port}/user/vera/proxy/8080/"
        with connect(url, ssl=other.trust, ping_interval=None) as silent, client.kernel("python3") as kernel:
            start = time.monotonic()
            front.authority.write(front.tls)
            (front.tls / "tls.key").chmod(0o644)
            wait_until(lambda: "tls.crt: replaced" in front.log, "nginx loads the new certificate")
            wait_until(lambda: time.monotonic() - start > IDLE, "the idle time ends", IDLE + 10)
            assert kernel.execute("print('kernel')").stdout == "kernel\n"
            silent.send("silent")
            assert silent.recv(timeout=180) == "silent"


def only_quic(edge: Edge) -> tuple[str, str]:
    """Return Chromium's options to connect to nginx only with QUIC.

    With QUIC, Chromium tries only one address of `localhost`, so the options also set the address 127.0.0.1.
    """
    return f"--origin-to-force-quic-on=localhost:{edge.https_port}", "--host-resolver-rules=MAP localhost 127.0.0.1"


def test_chromium_uses_http_3_if_enabled(image: str, tmp_path: Path) -> None:
    with run_upstream(body=b"<h1>The hub</h1>") as upstream:
        upstream.answers["/hub/home"] = (200, {"Content-Type": "text/html"})
        run = run_edge(tmp_path / "nginx", upstream.address, image=image, settings={"NGINX_HTTP3": "on"})
        with run as edge, open_browser(edge.fingerprint, *only_quic(edge)) as browser:
            page = browser.new_page()
            page.goto(f"{edge.url}/hub/home")
            assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h3"
            assert page.get_by_role("heading").inner_text() == "The hub"
        assert upstream.asked[-1].headers["host"] == "localhost"

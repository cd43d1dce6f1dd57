"""Tests of nginx's image: TLS (with the scanner sslyze), labels, size, and the versions of JupyterLab's files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from labtesting.container import engine
from labtesting.edge import Edge, run_edge

from nginx.tests.upstream import run_upstream

# Options of sslyze for checks that are not part of Mozilla's profile
MORE_CHECKS = ("--resum", "--early_data", "--http_headers")


def scan(edge: Edge, folder: Path) -> dict[str, Any]:
    """Scan the TLS of a running nginx with sslyze, and return the result of each check.

    Raises
    ------
    AssertionError
        Raised if a protocol, cipher, curve or the certificate violates Mozilla's intermediate profile.
    """
    report = folder / "sslyze.json"
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "sslyze",
                "--mozilla_config=intermediate",
                *MORE_CHECKS,
                f"--json_out={report}",
            ),
            *(f"--certinfo_ca_file={edge.authority.file}", f"localhost:{edge.https_port}{{127.0.0.1}}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)  # noqa: T201  (pytest shows the report when the test fails)
    assert done.returncode == 0, done.stdout + done.stderr
    results: dict[str, Any] = json.loads(report.read_text())["server_scan_results"][0]["scan_result"]
    return results


def test_tls_follows_the_mozilla_intermediate_profile(image: str, tmp_path: Path) -> None:
    with run_upstream() as upstream, run_edge(tmp_path / "nginx", upstream.address, image=image) as edge:
        checks = scan(edge, tmp_path)
    assert {name: check["status"] for name, check in checks.items() if check["status"] != "COMPLETED"} == {}
    result = {name: check["result"] for name, check in checks.items()}
    (deployment,) = result["certificate_info"]["certificate_deployments"]
    assert deployment["verified_certificate_chain"]
    assert deployment["received_chain_has_valid_order"]
    assert not result["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not result["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert not result["tls_compression"]["supports_compression"]
    assert not result["tls_1_3_early_data"]["supports_early_data"]
    assert not result["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert result["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    assert result["tls_fallback_scsv"]["supports_fallback_scsv"]
    assert result["session_resumption"]["tls_ticket_resumption_result"] == "NOT_SUPPORTED"
    assert int(result["http_headers"]["strict_transport_security_header"]["max_age"]) >= 63072000


def test_image_has_labels_and_is_small(image: str) -> None:
    built = engine().images.get(image)
    assert built.labels["org.opencontainers.image.title"] == "lsstsqre/jupyterlabdemo-nginx"
    assert re.fullmatch("[0-9a-f]{40}", built.labels["org.opencontainers.image.revision"])
    assert built.attrs["Config"]["User"] == "10001:10001"
    assert built.attrs["Config"]["StopSignal"] == "SIGQUIT"
    assert built.attrs["Size"] < 130e6


def test_served_files_have_the_version_of_the_lab(image: str) -> None:
    locks = [Path(__file__).parents[3] / name / "requirements.txt" for name in ("nginx", "jupyterlab")]
    versions = [re.findall(r"^(jupyterlab(?:-git)?|nbdime)==(\S+)", lock.read_text(), re.MULTILINE) for lock in locks]
    assert versions[0] == versions[1]
    assert len(versions[0]) == 3

"""TLS as sslyze sees it, and what the image is made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from labtesting.container import engine
from labtesting.edge import Edge, run_edge
from sslyze import (
    ScanCommand,
    ScanCommandAttemptStatusEnum,
    ScanCommandsExtraArguments,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanResult,
)
from sslyze.mozilla_tls_profile.tls_config_checker import (
    MozillaTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)
from sslyze.plugins.certificate_info.implementation import CertificateInfoExtraArgument

from nginx.tests.upstream import run_upstream


def scan(edge: Edge) -> ServerScanResult:
    """Examine everything that sslyze knows how to."""
    arguments = ScanCommandsExtraArguments(certificate_info=CertificateInfoExtraArgument(edge.authority.file))
    request = ServerScanRequest(
        ServerNetworkLocation("localhost", edge.https_port, "127.0.0.1"),
        ServerNetworkConfiguration("localhost"),
        set(ScanCommand),
        arguments,
    )
    scanner = Scanner()
    scanner.queue_scans([request])
    (result,) = scanner.get_results()
    return result


@pytest.mark.timeout(180)
def test_sslyze_finds_nothing_against_mozilla_s_intermediate_profile(image: str, tmp_path: Path) -> None:
    with run_upstream() as upstream, run_edge(tmp_path / "nginx", upstream.address, image=image) as edge:
        result = scan(edge)
    found = result.scan_result
    assert found is not None, result.connectivity_error_trace
    attempts = {name: getattr(found, name) for name in vars(found)}
    failed = {name for name, one in attempts.items() if one.status != ScanCommandAttemptStatusEnum.COMPLETED}
    assert failed == set()
    # Raises with every finding: protocols, ciphers, curves, certificate.
    check_server_against_tls_configuration(result, MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE))
    deployments = attempts["certificate_info"].result.certificate_deployments
    assert all(one.verified_certificate_chain for one in deployments)
    assert all(one.received_chain_has_valid_order for one in deployments)
    assert not attempts["heartbleed"].result.is_vulnerable_to_heartbleed
    assert not attempts["openssl_ccs_injection"].result.is_vulnerable_to_ccs_injection
    assert not attempts["tls_compression"].result.supports_compression
    assert not attempts["tls_1_3_early_data"].result.supports_early_data
    assert not attempts["session_renegotiation"].result.is_vulnerable_to_client_renegotiation_dos
    assert attempts["tls_fallback_scsv"].result.supports_fallback_scsv
    assert attempts["session_resumption"].result.tls_ticket_resumption_result.name == "NOT_SUPPORTED"


def test_the_image_is_labelled_and_small(image: str) -> None:
    found = engine().images.get(image)
    assert found.labels["org.opencontainers.image.title"] == "lsstsqre/jupyterlabdemo-nginx"
    assert re.fullmatch("[0-9a-f]{40}", found.labels["org.opencontainers.image.revision"])
    assert found.attrs["Config"]["User"] == "10001:10001"
    assert found.attrs["Config"]["StopSignal"] == "SIGQUIT"
    assert found.attrs["Size"] < 130e6


def test_what_the_image_serves_is_of_the_lab_s_version(image: str) -> None:
    locks = [Path(__file__).parents[3] / name / "requirements.txt" for name in ("nginx", "jupyterlab")]
    versions = [re.findall(r"^(jupyterlab(?:-git)?|nbdime)==(\S+)", lock.read_text(), re.MULTILINE) for lock in locks]
    assert versions[0] == versions[1]
    assert len(versions[0]) == 3

"""Tests of the PromQL queries in the dashboard and in the alert rules, with a real Prometheus and a real hub."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from labtesting.cluster import NAMESPACE, get
from labtesting.hub_process import free_ports, wait_until
from labtesting.needs import need_program

from hub.tests.cluster.deployment import Deployment

METRICS_PORT = 9464
RULES = Path(__file__).parents[3] / "docs/admin/alerts.rules.yaml"


@contextmanager
def forwarded(deployment: str) -> Iterator[int]:
    """Forward a port of this machine to the metrics port of a Deployment, and yield the port."""
    port = free_ports(1)[0]
    command = [
        "kubectl",
        "port-forward",
        f"deployment/{deployment}",
        f"{port}:{METRICS_PORT}",
        "--namespace",
        NAMESPACE,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def prometheus(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Prometheus. Yield the URL of Prometheus after it has scraped the hub and the proxy several times."""
    program = need_program("prometheus", how="apt install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        ports = {name: stack.enter_context(forwarded(name)) for name in ("hub", "proxy")}
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for name, port in ports.items()
        ]
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        port = free_ports(1)[0]
        options = [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen([program, f"--config.file={config}", *options], stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        visitor, _ = deployment.member("vera")
        visitor.spawn("vera", image="recommended", size="small")
        wait_until(lambda: query(url, "min(count_over_time(labhub_spawn_seconds_count[1m])) > 3"), "four scrapes")
        yield url


def query(url: str, expression: str) -> list[Any]:
    """Return Prometheus' series for a PromQL expression, or an empty list while Prometheus is unavailable."""
    try:
        response = httpx.get(f"{url}/api/v1/query", params={"query": expression}).json()
    except httpx.TransportError:
        return []
    assert response["status"] == "success", response
    series: list[Any] = response["data"]["result"]
    return series


def dashboard() -> dict[str, Any]:
    """Return the dashboard from the ConfigMap that Grafana's sidecar imports."""
    content: dict[str, Any] = json.loads(get("configmap", "hub-dashboard")["data"]["jupyterlabdemo-hub.json"])
    return content


def variables(url: str) -> dict[str, str]:
    """Return the values that Grafana inserts for the dashboard's variables if the user selects "All"."""
    values: dict[str, str] = {}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            response = httpx.get(f"{url}/api/v1/label/{label}/values", params={"match[]": metric}).json()
            assert response["data"], f"variable {variable['name']}: the metric {metric} has no label {label}"
            values[variable["name"]] = f"({'|'.join(response['data'])})"
    return values


def panel_queries(url: str) -> list[tuple[str, str, str]]:
    """Return the title, the PromQL expression and the legend format of each query of each panel."""
    values = variables(url)
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    queries = []
    for panel in panels:
        for target in panel["targets"]:
            expression = re.sub(r"\$(\w+)", lambda name: values[name[1]], target["expr"])
            # Remove two suffixes of the dashboard's queries. " > 0" would hide series without events. " or vector(0)"
            # would hide that a metric is missing.
            expression = expression.removesuffix(" > 0").removesuffix(" or vector(0)")
            queries.append((panel["title"], expression, target["legendFormat"]))
    return queries


def test_dashboard_queries_use_existing_metrics_and_labels(prometheus: str) -> None:
    metrics = set(httpx.get(f"{prometheus}/api/v1/label/__name__/values").json()["data"])
    for title, expression, legend in panel_queries(prometheus):
        names = set(re.findall(r"\b[a-z]+_\w+(?=[{[)])|\bup\b", expression))
        assert names <= metrics, f"{title}: unknown metrics {sorted(names - metrics)}"
        result = query(prometheus, expression)
        assert result, f"{title}: {expression} has an empty result"
        labels = set(re.findall(r"{{(\w+)}}", legend))
        groups = re.findall(r"by \(([^)]*)\)", expression)
        labels |= {label for group in groups for label in group.split(", ")} - {"le"}
        for series in result:
            assert labels <= set(series["metric"]), f"{title}: found {series['metric']}, wanted {sorted(labels)}"


def test_alert_rules_use_existing_series(prometheus: str) -> None:
    (group,) = [group for group in yaml.safe_load(RULES.read_text())["groups"] if group["name"] == "jupyterlabdemo-hub"]
    assert group["rules"]
    for rule in group["rules"]:
        series = re.sub(r"^absent\((.*)\)$|^(.*) > \d+$", r"\1\2", rule["expr"])
        alternatives = re.findall(r'=~"([^"]*)"', series) or [""]
        for value in alternatives[0].split("|"):
            expression = series.replace(f'=~"{alternatives[0]}"', f'="{value}"')
            assert query(prometheus, expression), f"{expression} has an empty result"

"""The dashboard's questions, asked of a real Prometheus that reads a real hub."""

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

pytestmark = pytest.mark.timeout(300)
METRICS_PORT = 9464
RULES = Path(__file__).parents[3] / "docs/admin/alerts.rules.yaml"


@contextmanager
def forwarded(deployment: str) -> Iterator[int]:
    """Give a port of this machine that leads to a Deployment's metrics."""
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
    """Run Prometheus until it has read hub and proxy twice; give its URL."""
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
        place = [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen([program, f"--config.file={config}", *place], stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        visitor, _ = deployment.member("vera")
        visitor.spawn("vera", image="recommended", size="small")
        wait_until(lambda: answers(url, "min(count_over_time(labhub_spawn_seconds_count[1m])) > 3"), "it has read")
        yield url


def answers(url: str, question: str) -> list[Any]:
    """Ask Prometheus."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": question}).json()
    except httpx.TransportError:
        return []
    assert answer["status"] == "success", answer
    found: list[Any] = answer["data"]["result"]
    return found


def dashboard() -> dict[str, Any]:
    """Give the dashboard, as Grafana's sidecar takes it."""
    found: dict[str, Any] = json.loads(get("configmap", "hub-dashboard")["data"]["jupyterlabdemo-hub.json"])
    return found


def variables(url: str) -> dict[str, str]:
    """Give what Grafana puts in the place of the dashboard's variables when all is chosen."""
    found: dict[str, str] = {}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            answer = httpx.get(f"{url}/api/v1/label/{label}/values", params={"match[]": metric}).json()
            assert answer["data"], f"{variable['name']}: no {label} of {metric}"
            found[variable["name"]] = f"({'|'.join(answer['data'])})"
    return found


def questions(url: str) -> list[tuple[str, str, str]]:
    """Give what each panel asks: its title, the question, and what the answer's lines are called."""
    values = variables(url)
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    found = []
    for panel in panels:
        for target in panel["targets"]:
            asked = re.sub(r"\$(\w+)", lambda name: values[name[1]], target["expr"])
            # What has not happened is not drawn, and nothing is drawn as 0; asked is without either.
            asked = asked.removesuffix(" > 0").removesuffix(" or vector(0)")
            found.append((panel["title"], asked, target["legendFormat"]))
    return found


def test_every_question_is_of_metrics_and_labels_that_there_are(prometheus: str) -> None:
    there = set(httpx.get(f"{prometheus}/api/v1/label/__name__/values").json()["data"])
    for title, asked, legend in questions(prometheus):
        names = set(re.findall(r"\b[a-z]+_\w+(?=[{[)])|\bup\b", asked))
        assert names <= there, f"{title}: {sorted(names - there)}"
        found = answers(prometheus, asked)
        assert found, f"{title}: {asked} has no answer"
        labels = set(re.findall(r"{{(\w+)}}", legend))
        labels |= {one for group in re.findall(r"by \(([^)]*)\)", asked) for one in group.split(", ")} - {"le"}
        for one in found:
            assert labels <= set(one["metric"]), f"{title}: {sorted(labels)}, found {one['metric']}"


def test_every_alert_that_the_docs_suggest_is_of_something_that_there_is(prometheus: str) -> None:
    (group,) = [group for group in yaml.safe_load(RULES.read_text())["groups"] if group["name"] == "jupyterlabdemo-hub"]
    assert group["rules"]
    for rule in group["rules"]:
        there = re.sub(r"^absent\((.*)\)$|^(.*) > \d+$", r"\1\2", rule["expr"])
        choices = re.findall(r'=~"([^"]*)"', there) or [""]
        for one in choices[0].split("|"):
            asked = there.replace(f'=~"{choices[0]}"', f'="{one}"')
            assert answers(prometheus, asked), f"{asked} has no answer"

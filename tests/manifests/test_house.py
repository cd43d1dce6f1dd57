"""Tests of the rules for manifests: correct manifests have no complaint. A complaint names file, object and rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifests.house import RULES, needless_exceptions, rule_name, violations
from tests.manifests.manifest import Folder, read_folder
from tools.components import ROOT, image_name, version

LABELS = f"""app.kubernetes.io/name: jupyterlab
{{indent}}app.kubernetes.io/component: jupyterlab
{{indent}}app.kubernetes.io/part-of: jupyterlabdemo
{{indent}}app.kubernetes.io/version: {version()}"""
DEPLOYMENT = f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: lab
  namespace: jupyterlabdemo
  labels:
    {LABELS.format(indent="    ")}
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: jupyterlab
      app.kubernetes.io/component: jupyterlab
  template:
    metadata:
      labels:
        {LABELS.format(indent="        ")}
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: lab
          image: {image_name("jupyterlab")}:{version()}
          imagePullPolicy: IfNotPresent
          ports:
            - name: http
              containerPort: 8000
          readinessProbe:
            httpGet:
              path: /ready
              port: http
            periodSeconds: 2  # a user waits for it
          livenessProbe:
            tcpSocket:
              port: http
            # Three minutes, because a restart loses work.
            failureThreshold: 18
          resources:
            requests:
              cpu: 10m
              memory: 10Mi
            limits:
              cpu: "1"
              memory: 100Mi
          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
            readOnlyRootFilesystem: true
"""
SERVICE = f"""apiVersion: v1
kind: Service
metadata:
  name: lab
  namespace: jupyterlabdemo
  labels:
    {LABELS.format(indent="    ")}
spec:
  selector:
    app.kubernetes.io/name: jupyterlab
  ports:
    - name: http
      port: 80
      targetPort: http
"""
POLICY = f"""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: lab
  namespace: jupyterlabdemo
  labels:
    {LABELS.format(indent="    ")}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: jupyterlab
  policyTypes: [Ingress]
  ingress: []
"""
SECRET = f"""apiVersion: v1
kind: Secret
metadata:
  name: lab
  namespace: jupyterlabdemo
  labels:
    {LABELS.format(indent="    ")}
stringData:
  password: made-up
"""
GOOD = {
    "00-namespace.yaml": (ROOT / "hub/kubernetes/00-namespace.yaml").read_text(),
    "deployment.yaml": DEPLOYMENT,
    "service.yaml": SERVICE,
    "networkpolicy.yaml": POLICY,
}


def write(root: Path, files: dict[str, str], component: str = "lab") -> Folder:
    """Write a folder with the manifests of a component."""
    folder = root / component / "kubernetes"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return read_folder(folder, root)


def test_good_manifests_break_no_rule(tmp_path: Path) -> None:
    folder = write(tmp_path, GOOD)
    assert {rule_name(rule): violations(folder, rule) for rule in RULES} == {rule_name(rule): [] for rule in RULES}
    assert needless_exceptions(folder) == []


FROM_SECRET = "envFrom:\n            - secretRef:\n                name: lab\n          ports:"
BAD = [
    ("deployment.yaml", "ports:", "prots:", "schema", "'prots' was unexpected"),
    ("deployment.yaml", "containerPort: 8000", 'containerPort: "8000"', "schema", "'8000' is not of type 'integer'"),
    ("deployment.yaml", "apps/v1", "apps/v1beta1", "schema", "apps/v1beta1 Deployment, which Kubernetes"),
    ("service.yaml", "namespace: jupyterlabdemo", "namespace: default", "namespace", "found namespace default"),
    ("service.yaml", "  namespace: jupyterlabdemo\n", "", "namespace", "found namespace None"),
    ("service.yaml", "part-of: jupyterlabdemo", "part-of: other", "labels", "part-of: found other"),
    ("deployment.yaml", f"        app.kubernetes.io/version: {version()}", "", "labels", "version: found None"),
    ("networkpolicy.yaml", "app.kubernetes.io/component: jupyterlab", "x: y", "labels", "component: found None"),
    ("deployment.yaml", "    matchLabels:\n", "    matchLabels:\n      x: y\n", "selectors", "'x': 'y'"),
    ("deployment.yaml", "ports:", FROM_SECRET, "no-secret-in-environment", "the environment has lab from a Secret"),
    ("deployment.yaml", f":{version()}\n          image", ":latest\n          image", "images", "image tag latest"),
    ("deployment.yaml", "lsstsqre/", "example/", "images", "found the image example/jupyterlabdemo"),
    ("deployment.yaml", "IfNotPresent", "Always", "images", "imagePullPolicy: found Always"),
    ("deployment.yaml", "runAsNonRoot: true", "runAsUser: 1", "run-as-non-root", "runAsNonRoot: found None"),
    ("deployment.yaml", "type: RuntimeDefault", "type: Unconfined", "seccomp", "found {'type': 'Unconfined'}"),
    ("deployment.yaml", "[ALL]", "[ALL]\n              add: [CHOWN]", "capabilities", "'add': ['CHOWN']"),
    ("deployment.yaml", "Escalation: false", "Escalation: true", "no-escalation", "found True"),
    ("deployment.yaml", "readOnlyRootFilesystem: true", "runAsUser: 1", "read-only-root", "found None"),
    (
        "deployment.yaml",
        "      containers:",
        "      hostPID: true\n      containers:",
        "nothing-of-the-node",
        "hostPID",
    ),
    ("deployment.yaml", "      automountServiceAccountToken: false\n", "", "service-account-token", "wanted autom"),
    ("deployment.yaml", '              cpu: "1"\n', "", "resources", "lab: resources.limits.cpu is missing"),
    ("deployment.yaml", "              cpu: 10m\n", "", "resources", "lab: resources.requests.cpu is missing"),
    ("deployment.yaml", "name: http\n", "protocol: TCP\n", "named-ports", "found a port without a name"),
    ("service.yaml", "targetPort: http", "targetPort: 8000", "named-ports", "found targetPort 8000"),
    ("deployment.yaml", "name: http\n", "name: metrics\n", "metrics", "prometheus.io/port: found [], wanted ['8000']"),
    ("deployment.yaml", "readinessProbe", "startupProbe", "probes", "lab: no readinessProbe"),
    (
        "deployment.yaml",
        "port: http\n            #",
        "port: 8000\n            #",
        "probes",
        "livenessProbe: found port",
    ),
    ("deployment.yaml", "  # a user waits for it", "", "probe-numbers", "readinessProbe.periodSeconds: 2"),
    (
        "deployment.yaml",
        "            # Three minutes, because a restart loses work.\n",
        "",
        "probe-numbers",
        "livenessProbe.fail",
    ),
    ("service.yaml", "name: jupyterlab\n  ports", "name: x\n  ports", "services-reach-pods", "0 workloads"),
    ("service.yaml", "targetPort: http", "targetPort: https", "services-reach-pods", "found targetPort https"),
]


@pytest.mark.parametrize(("file", "old", "new", "rule", "message"), BAD, ids=[f"{bad[3]}: {bad[4]}" for bad in BAD])
def test_bad_manifest_is_reported_with_object_and_rule(
    file: str, old: str, new: str, rule: str, message: str, tmp_path: Path
) -> None:
    assert old in GOOD[file]
    folder = write(tmp_path, GOOD | {file: GOOD[file].replace(old, new)})
    (complaint,) = [
        line for check in RULES if rule_name(check) == rule for line in violations(folder, check) if message in line
    ]
    (kind,) = [line[6:] for line in GOOD[file].splitlines() if line.startswith("kind: ")]
    assert complaint.startswith(f"lab/kubernetes/{file}: {kind} lab")
    assert complaint.endswith(f"({rule})")


@pytest.mark.parametrize(
    ("files", "rule", "message"),
    [
        ({"secret.yaml": SECRET}, "no-secret", "lab/kubernetes/secret.yaml: Secret lab: a Secret belongs to the site"),
        (
            {"configmap.yaml": SECRET.replace("Secret", "ConfigMap").replace("stringData", "data")},
            "no-site-settings",
            "lab/kubernetes/configmap.yaml: ConfigMap lab: the ConfigMap with the component's name belongs to the site",
        ),
        ({"kustomization.yaml": "resources: []\n"}, "no-kustomization", "lab/kubernetes/kustomization.yaml: "),
        ({"service.yaml": f"{SERVICE}---\n{POLICY}"}, "one-object-per-file", "service.yaml: found 2 objects"),
        ({"deployment.yaml": SERVICE}, "one-object-per-file", "Service lab: wanted the file name service.yaml"),
        ({"service.yml": SERVICE}, "one-object-per-file", "service.yml: found 0 objects, wanted one in a .yaml"),
        (
            {"0-service.yaml": SERVICE, "service.yaml": SERVICE},
            "namespaces-first",
            "0-service.yaml: Service lab: kubectl applies it before 00-namespace.yaml",
        ),
        ({"board.json": "{}"}, "one-object-per-file", "board.json: found 0 objects, wanted one in a .yaml"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_misplaced_file_is_reported(files: dict[str, str], rule: str, message: str, tmp_path: Path) -> None:
    folder = write(tmp_path, GOOD | files)
    (complaint,) = [line for check in RULES if rule_name(check) == rule for line in violations(folder, check)]
    assert message in complaint


def test_every_folder_has_the_same_namespace_file(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    other = write(tmp_path, {"00-namespace.yaml": GOOD["00-namespace.yaml"] + "# more\n"}, "other")
    none = write(tmp_path, {"service.yaml": SERVICE}, "none")
    labs = "labs-namespace.yaml"
    (tmp_path / "lab/kubernetes" / labs).write_text("kind: Namespace\n")
    (tmp_path / "none/kubernetes" / labs).write_text("kind: Namespace  # more\n")
    (rule,) = [rule for rule in RULES if rule_name(rule) == "same-namespace-file"]
    assert violations(other, rule) == [
        "other/kubernetes/00-namespace.yaml: differs from lab/kubernetes/00-namespace.yaml (same-namespace-file)"
    ]
    assert violations(none, rule) == [
        "none/kubernetes/00-namespace.yaml: missing, copy the file from another component (same-namespace-file)",
        f"none/kubernetes/{labs}: differs from lab/kubernetes/{labs} (same-namespace-file)",
    ]


@pytest.mark.parametrize(
    ("old", "new"), [("[Ingress]", "[Egress]"), ("name: jupyterlab\n  policy", "name: x\n  policy")]
)
def test_pod_without_a_network_policy_is_reported(old: str, new: str, tmp_path: Path) -> None:
    (rule,) = [rule for rule in RULES if rule_name(rule) == "network-policies"]
    assert old in POLICY
    assert violations(write(tmp_path, GOOD | {"networkpolicy.yaml": POLICY.replace(old, new)}), rule) == [
        "lab/kubernetes/deployment.yaml: Deployment lab: no NetworkPolicy with the type Ingress selects its pods"
        " (network-policies)"
    ]


READ_ONLY = "          securityContext:\n"
REASON = "          # exception read-only-root: the lab writes files\n"


def test_exception_must_be_known_and_have_a_reason(tmp_path: Path) -> None:
    (rule,) = [rule for rule in RULES if rule_name(rule) == "read-only-root"]
    broken = DEPLOYMENT.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    with_reason = broken.replace(READ_ONLY, REASON + READ_ONLY)
    elsewhere = "# exception read-only-root: far from the container\n" + broken
    no_reason = with_reason.replace(": the lab writes files", "")
    known = {"lab": {"read-only-root"}}

    def complaints(number: int, text: str, known: dict[str, set[str]]) -> list[str]:
        return violations(write(tmp_path / str(number), GOOD | {"deployment.yaml": text}), rule, known)

    assert complaints(1, with_reason, known) == []
    assert "the exception is not in KNOWN_EXCEPTIONS of lab" in complaints(2, with_reason, {})[0]
    assert complaints(3, broken, known)
    assert complaints(4, elsewhere, known)
    assert complaints(5, no_reason, known)


def test_needless_exception_is_reported(tmp_path: Path) -> None:
    declared = GOOD | {"deployment.yaml": DEPLOYMENT.replace(READ_ONLY, REASON + READ_ONLY)}
    assert needless_exceptions(write(tmp_path / "declared", declared)) == ["read-only-root"]
    assert needless_exceptions(write(tmp_path / "known", GOOD), {"lab": {"capabilities"}}) == ["capabilities"]


def test_each_rule_has_a_failing_case() -> None:
    text = Path(__file__).read_text()
    assert [rule_name(rule) for rule in RULES if f'"{rule_name(rule)}"' not in text] == []

"""Tests of the log lines of labs: only session events are shipped, and a line cannot choose its user."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from filebeat.tests.arrivals import Arrived
from filebeat.tests.shipper import POD, LogFile, Shipper


def test_only_session_events_of_a_lab_are_shipped(shipper: Shipper, arrived: Arrived) -> None:
    lab = LogFile(shipper.pods / "jupyterlabdemo-labs_lab-5150_3f0c1a52-0000-4c3e-9f6e-0d6ae1b0e7a1" / "notebook")
    own = LogFile(shipper.pods / "jupyterlabdemo_filebeat-x7k2p_3f0c1a52-0000-4c3e-9f6e-0d6ae1b0e7a2" / "filebeat")
    session = {"message": "a kernel has started", "event.dataset": "lab.session", "event.action": "kernel_start"}
    with shipper.run():
        own.write(b"shipped another batch, and so on")
        lab.write(b"output of a cell", b'{"message": "GET /secret.ipynb", "event.dataset": "lab.server"}')
        lab.write(json.dumps(session).encode(), b"more output")
        LogFile(shipper.pods / POD / "x").write(b'{"message": "noise", "log.level": "debug"}', b"the last one")
        found = Counter(arrived.messages(2))
    assert found == Counter(["a kernel has started", "the last one"])


@pytest.mark.parametrize("packed", [False, True])
def test_line_cannot_forge_its_user(packed: bool, shipper: Shipper, arrived: Arrived) -> None:
    # The test shipper runs without add_kubernetes_metadata, so it never knows the labels of a pod. On a cluster,
    # filebeat does not know the labels for lines of a new pod or of a compressed file.
    pods = ["jupyterlabdemo-labs_lab-5150", "jupyterlabdemo-labs2_x", "jupyterlabdemoo_x", "elsewhere_jupyterlabdemo"]
    session = {"message": "a kernel has started", "event.dataset": "lab.session", "event.action": "kernel_start"}
    forged = session | {"user.id": "1", "user.name": "mallory", "labels": {"image": "forged"}, "labels.size": "huge"}
    nested = session | {"user": {"id": "1"}, "kubernetes": {"namespace": "jupyterlabdemo"}}
    for pod in pods:
        log = LogFile(shipper.pods / f"{pod}_3f0c1a52-0000-4c3e-9f6e-0d6ae1b0e7a1" / "notebook")
        log.write(json.dumps(forged).encode(), json.dumps(nested).encode())
        for turn in range(2 if packed else 0):
            log.rotate(f"20260101-00000{turn}")
            log.write(b'{"message": "a line of a newer file", "log.level": "debug"}')
    with shipper.run():
        events = arrived.wait_for(2 * len(pods))
    found = Counter(f"{event['kubernetes.namespace']}_{event['kubernetes.pod.name']}" for event in events)
    assert found == Counter(2 * pods)
    for event in events:
        assert event["message"] == "a kernel has started"
        assert not [field for field in event if field.startswith(("user", "labels"))]
        assert event["log.file.path"].endswith(".gz") is packed

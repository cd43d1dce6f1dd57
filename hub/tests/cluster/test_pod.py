"""What somebody finds in their lab."""

from __future__ import annotations

from labtesting.cluster import LABS

from hub.tests.cluster.conftest import Deployment


def test_a_member_logs_in_and_gets_a_lab(deployment: Deployment) -> None:
    visitor, account = deployment.member("ada", "rubin")
    visitor.spawn("ada")
    print(deployment.run(account, "id"))
    print(deployment.run(account, "sh", "-c", "ls -la ~ /project; cat /proc/self/status; env"))
    assert 0

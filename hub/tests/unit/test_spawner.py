"""Tests of `LabSpawner` with a real JupyterHub user, a fake Kubernetes API and the fileserver's real program."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from jupyterhub import orm, roles  # type: ignore[import-untyped]
from jupyterhub.crypto import CryptKeeper  # type: ignore[import-untyped]
from jupyterhub.objects import Hub  # type: ignore[import-untyped]
from jupyterhub.spawner import SpawnException  # type: ignore[import-untyped]
from jupyterhub.user import User, UserDict  # type: ignore[import-untyped]
from jupyterhub.utils import utcnow  # type: ignore[import-untyped]
from labhub.labs.home_provisioning import HomeProvisioner
from labhub.labs.launcher import LabLauncher
from labhub.labs.pod_status import STAGE_MESSAGES
from labhub.labs.spawner import LEFTOVER_DELAY_MESSAGE, STORAGE_DELAY_MESSAGE, LabSpawner
from labhub.models.auth_state import AuthState
from labhub.models.identity import Identity
from labhub.models.pod_types import PodSettings
from labhub.models.profiles import Image, Menu, Size
from labhub.web.spawn import SpawnPausedError, refuse_during_pause
from labtesting.fileserver import TOKEN, Labfiles, run_labfiles
from traitlets.config import Config

from hub.tests.unit.conftest import Cluster
from hub.tests.unit.fake_api import deletion_fields, make_pod, make_running_pod, wait_until

pytestmark = pytest.mark.asyncio
NAME = "lab-583231"
STATE = AuthState(Identity(583231, "Ada", "ada", 583231), "gho_x", ("read:org",), time.time())
SETTINGS = PodSettings("home", "project", "root:x:0:0::/:/bin/sh\n", "root:x:0:\n", "Strict", 8000, 604800, 900, 30)
MENU = Menu(
    images=(Image(key="recommended", title="Recommended", image="lsst/lab:1"),),
    sizes=(Size(key="small", title="S", cpu="1", memory="1Gi"), Size(key="large", title="L", cpu="4", memory="8Gi")),
)


@pytest.fixture(scope="module")
def fileserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labfiles]:
    """Run the fileserver's real program, `labfiles`."""
    with run_labfiles(tmp_path_factory.mktemp("files")) as running:
        yield running


@dataclass
class Lab:
    """A user whose lab a test starts, and the fake cluster in which the lab runs."""

    user: User
    cluster: Cluster
    launcher: LabLauncher

    @property
    def spawner(self) -> LabSpawner:
        """The spawner of the user's lab."""
        spawner: LabSpawner = self.user.spawners[""]
        return spawner

    async def start(self, **options: str) -> None:
        """Start the user's lab as JupyterHub does."""
        await self.user.spawn("", options=options)


@pytest_asyncio.fixture
async def lab(
    cluster: Cluster, launcher: LabLauncher, fileserver: Labfiles, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Lab]:
    """Create a user, and start an HTTP server on this machine that answers like the user's lab."""
    monkeypatch.setattr(LabSpawner, "launcher", launcher, raising=False)
    monkeypatch.setattr(CryptKeeper.instance(), "keys", [b"1" * 32])
    config = Config()
    config.LabSpawner.update(
        pod_settings=SETTINGS,
        menu=MENU,
        home_provisioner=HomeProvisioner(fileserver.url, TOKEN),
        pull_seconds=60,
        lab_seconds=60,
        unschedulable_seconds=60,
        apply_user_options=lambda _spawner, _options: None,
        http_timeout=60,
        poll_interval=0,
    )
    with orm.new_session_factory("sqlite:///:memory:")() as db:
        for role in roles.get_default_roles():
            roles.create_role(db, role)
        db.add(orm.OAuthClient(identifier="jupyterhub", secret="", redirect_uri=""))
        row = orm.User(name="ada")
        db.add(row)
        db.commit()
        roles.assign_default_roles(db, entity=row)
        hub = Hub(ip="127.0.0.1", port=8081, base_url="/hub/")
        users = UserDict(lambda: db, {"spawner_class": LabSpawner, "config": config, "hub": hub, "base_url": "/"})
        user = users[row]
        await user.save_auth_state(STATE.to_dict())
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-JupyterHub-Version: 6.1.1\r\nConnection: close\r\n\r\n"

        def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
            cluster.api.running_port = server.sockets[0].getsockname()[1]
            yield Lab(user, cluster, launcher)


async def test_a_lab_starts_and_stops(lab: Lab, fileserver: Labfiles) -> None:
    await lab.start(size="large")
    [pod] = lab.cluster.api.created
    assert pod["metadata"]["name"] == NAME
    assert pod["spec"]["securityContext"]["runAsUser"] == 583231
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "4", "memory": "8Gi"}
    assert (fileserver.storage / "home/583231").is_dir()
    assert lab.spawner.ready
    assert lab.spawner.server.port == lab.cluster.api.running_port
    assert lab.spawner.orm_spawner.state == {"pod_name": NAME, "last_end": None}
    assert await lab.spawner.poll() is None
    row = lab.spawner.orm_spawner
    await lab.user.stop("")
    assert pod["spec"]["terminationGracePeriodSeconds"] == 30
    assert lab.cluster.api.deleted == [(NAME, {"gracePeriodSeconds": 30})]
    assert lab.cluster.api.pods == []
    assert row.state == {"last_end": None}


async def test_the_lab_gets_jupyterhubs_variables(lab: Lab) -> None:
    await lab.start()
    environment = {item["name"]: item["value"] for item in lab.cluster.api.created[0]["spec"]["containers"][0]["env"]}
    assert environment["JUPYTERHUB_API_TOKEN"] == lab.spawner.api_token
    assert environment["JUPYTERHUB_SERVICE_URL"] == "http://0.0.0.0:8888/user/ada/"
    assert environment["JUPYTER_IMAGE"] == environment["JUPYTER_IMAGE_SPEC"] == "lsst/lab:1"
    assert environment["JUPYTERHUB_ACTIVITY_INTERVAL"] == "500"
    assert "PATH" not in environment, "the hub's own variables do not reach a lab"


async def test_a_failed_start_is_explained_and_its_pod_deleted(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.cluster.api.answers = [(403, "exceeded quota: labs")]
    with pytest.raises(SpawnException) as failed:
        await lab.start()
    assert failed.value.reason == "quota"
    assert "exceeded quota" in failed.value.jupyterhub_html_message
    assert (NAME, {}) in lab.cluster.api.deleted
    assert lab.cluster.api.pods == []


async def test_a_user_without_auth_state_gets_no_pod(lab: Lab) -> None:
    await lab.user.save_auth_state(None)
    with pytest.raises(SpawnException) as failed:
        await lab.start()
    assert failed.value.reason == "identity"
    assert lab.cluster.api.created == []
    assert lab.cluster.api.deleted == []


async def test_a_refused_start_leaves_a_running_pod(lab: Lab) -> None:
    """Check that the hook `refuse_during_pause` refuses a start, and that the user's running pod is not deleted."""
    port = lab.cluster.api.running_port
    assert port
    running = make_running_pod(NAME, port)
    lab.cluster.api.pods = [running]
    await wait_until(lambda: lab.launcher.find_pod(NAME) is not None)
    lab.user.settings["app"] = SimpleNamespace(announcements=SimpleNamespace(pause=None), recovering_labs=True)
    lab.user.settings["config"].LabSpawner.pre_spawn_hook = refuse_during_pause
    with pytest.raises(SpawnPausedError, match="is looking for running labs"):
        await lab.start()
    assert lab.cluster.api.deleted == []
    assert lab.cluster.api.pods == [running]


async def test_a_choice_off_the_menu_is_a_bad_request(lab: Lab) -> None:
    with pytest.raises(SpawnException) as failed:
        lab.spawner.run_options_from_form({"size": ["huge"]})
    assert failed.value.status_code == 400
    assert "wanted one of small, large" in failed.value.jupyterhub_message
    assert lab.spawner.run_options_from_form({"size": ["large"]}) == {"image": "recommended", "size": "large"}
    assert await lab.spawner.get_options_form(), "there are two sizes"
    assert lab.spawner.last_choice.size.key == "small"


async def test_progress_shows_what_the_start_waits_for(lab: Lab) -> None:
    progress: Any = lab.spawner.progress()
    assert (await anext(progress))["message"] == STAGE_MESSAGES["created"]
    lab.spawner._delay_message = STORAGE_DELAY_MESSAGE
    assert (await anext(progress))["message"] == STORAGE_DELAY_MESSAGE
    lab.spawner._delay_message = ""
    assert (await anext(progress))["message"] == STAGE_MESSAGES["created"]
    await progress.aclose()


async def test_unavailable_api_ends_no_lab(lab: Lab) -> None:
    await lab.start()
    lab.launcher.pods.objects.clear()
    lab.cluster.api.is_down = True
    assert await lab.spawner.poll() is None
    lab.cluster.api.is_down = False
    lab.cluster.api.pods.clear()
    assert await lab.spawner.poll() == 1
    assert lab.spawner.last_end is not None
    assert lab.spawner.last_end["reason"] == "unseen"


async def test_a_lab_that_has_ended_is_explained(lab: Lab) -> None:
    await lab.start()
    state = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    status = {"phase": "Failed", "containerStatuses": [{"name": "notebook", "state": state}]}
    ended = make_pod(NAME, version=7, status=status)
    lab.cluster.api.pods = [ended]
    lab.launcher.pods.objects[f"labs/{NAME}"] = ended
    assert await lab.spawner.poll() == 137
    assert lab.spawner.last_end is not None
    assert lab.spawner.last_end["reason"] == "memory"
    assert lab.cluster.api.pods == [], "the ended pod is deleted"


async def lose_node(lab: Lab, **metadata: Any) -> None:
    """Move the running lab's pod to a node that does not answer, and wait until the hub knows this."""
    lab.cluster.api.removes_pods = False
    lab.cluster.api.nodes = {"node1": "Unknown"}
    [pod] = lab.cluster.api.pods
    pod["spec"]["nodeName"] = "node1"
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pod["metadata"] |= metadata
    await wait_until(lambda: lab.spawner.cut_off_pod is not None)


async def test_a_lab_whose_node_can_come_back_is_not_ended(lab: Lab) -> None:
    await lab.start()
    assert lab.spawner.cut_off_pod is None
    assert await lab.spawner.find_lost_node() == ""
    await lose_node(lab)
    assert await lab.spawner.find_lost_node() == "node1"
    assert await lab.spawner.poll() is None


async def test_a_deleted_lab_on_a_dead_node_has_ended(lab: Lab) -> None:
    await lab.start()
    await lose_node(lab, **deletion_fields(30, age=3600))
    assert await lab.spawner.poll() == 1
    assert lab.spawner.last_end is not None
    assert lab.spawner.last_end["reason"] == "node"
    assert lab.spawner.last_end["detail"] == "The node node1 does not answer."
    assert lab.cluster.api.deleted == [], "the pod stays until the node is back or a new lab starts"


async def test_a_deleted_lab_on_a_ready_node_is_still_saving(lab: Lab) -> None:
    await lab.start()
    await lose_node(lab, **deletion_fields(30, age=3600))
    lab.cluster.api.nodes = {"node1": "True"}
    assert await lab.spawner.poll() is None


async def test_a_lab_that_never_answered_has_no_time_to_save(lab: Lab) -> None:
    lab.spawner.pull_seconds = lab.spawner.lab_seconds = lab.spawner.unschedulable_seconds = 0
    lab.cluster.api.running_port = None
    with pytest.raises(SpawnException):
        await lab.start()
    assert lab.cluster.api.deleted[0] == (NAME, {"gracePeriodSeconds": 1})


async def test_start_waits_for_the_previous_lab_with_a_message(lab: Lab) -> None:
    previous = make_pod(NAME)
    lab.cluster.api.pods, lab.cluster.api.removes_pods = [previous], False
    lab.cluster.api.answers = [(409, f'pods "{NAME}" already exists')]
    start = asyncio.ensure_future(lab.start())
    await wait_until(lambda: lab.spawner._delay_message == LEFTOVER_DELAY_MESSAGE)
    await wait_until(lambda: lab.cluster.api.deleted != [])
    lab.cluster.api.pods.remove(previous)
    await asyncio.wait_for(start, 60)
    assert lab.spawner._delay_message == ""
    assert lab.spawner.ready


async def test_culled_lab_names_the_applied_rule(lab: Lab) -> None:
    await lab.start()
    row = lab.spawner.orm_spawner
    row.last_activity = row.started = utcnow(with_tz=False).replace(year=2000)
    await lab.spawner.stop()
    assert lab.spawner.last_end is not None
    assert lab.spawner.last_end["reason"] == "age"
    assert "7 days" in lab.spawner.last_end["message"]


async def test_a_restarted_hub_finds_pod_and_address(lab: Lab) -> None:
    await lab.start()
    port = lab.cluster.api.running_port
    restarted = lab.user._new_spawner("")
    assert restarted.pod_name == NAME
    assert await restarted.get_url() == f"http://127.0.0.1:{port}"
    # This is a state that KubeSpawner has stored, which has more keys than the hub's.
    restarted.load_state({"pod_name": "lab-1", "namespace": "labs", "dns_name": "x", "kubespawner_version": "7.1.0"})
    assert restarted.pod_name == "lab-1"


async def test_a_recovered_lab_keeps_its_token(lab: Lab) -> None:
    lab.spawner.orm_spawner.oauth_client = orm.OAuthClient(identifier="lab", allowed_scopes=["self"])
    port = lab.cluster.api.running_port
    assert port
    lab.spawner.recovered_pod = make_running_pod(NAME, port)
    assert await lab.spawner.start() == f"http://127.0.0.1:{port}"
    assert lab.spawner.api_token == "made-up"
    assert lab.spawner.client_scopes == ("self",)
    assert lab.cluster.api.created == []


async def test_a_reset_deletes_the_pod_at_once(lab: Lab) -> None:
    await lab.start()
    await lab.spawner.force_delete()
    assert lab.cluster.api.deleted == [(NAME, {"gracePeriodSeconds": 1})]
    await wait_until(lambda: lab.launcher.find_pod(NAME) is None)

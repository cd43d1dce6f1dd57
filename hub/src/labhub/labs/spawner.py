"""JupyterHub's spawner for labs. `labhub.labs.launcher` sends the requests to Kubernetes: docs/dev/spawner.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

from jupyterhub.spawner import Spawner  # type: ignore[import-untyped]
from jupyterhub.utils import utcnow  # type: ignore[import-untyped]
from traitlets import Instance, Integer, default

from labhub.infra.fair_scheduling import yield_turn
from labhub.labs import pod_status
from labhub.labs.home_provisioning import HomeProvisioner, ProvisioningError
from labhub.labs.kubernetes_errors import API_ERRORS, format_api_error
from labhub.labs.launcher import LabLauncher, StartedLab, lab_url
from labhub.labs.pod import build_pod, pod_name
from labhub.labs.pod_removal import AT_ONCE, KUBELET_SECONDS, diagnose_leftover, is_cut_off
from labhub.labs.pod_status import Diagnosis, diagnose
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.labs.start_tracker import StartLimits
from labhub.labs.starting.lab_options import LabOptions
from labhub.labs.starting.progress_feed import ProgressFeed
from labhub.models.auth_state import AuthState
from labhub.models.identity import Identity
from labhub.models.pod_types import PORT, Pod, PodSettings, lab_container
from labhub.telemetry import metrics

# Bounds of the interval between two activity reports of a lab, in seconds
REPORT_SECONDS_MIN, REPORT_SECONDS_MAX = 5, 900
STORAGE_DELAY_MESSAGE = "Waiting for the shared storage, which does not answer"
LEFTOVER_DELAY_MESSAGE = "Waiting until your previous lab has stopped"


class LabSpawner(LabOptions, Spawner):  # type: ignore[misc]  # untyped
    """Spawner of one user's lab. `labhub.configuration` sets the spawner's options (traits)."""

    launcher: ClassVar[LabLauncher]
    """The launcher, which all spawners share. `labhub.app` sets it before JupyterHub creates the first spawner."""

    pod_settings = Instance(PodSettings).tag(config=True)
    home_provisioner = Instance(HomeProvisioner).tag(config=True)
    pull_seconds = Integer(help="Timeout in seconds for the image and the volumes, on a node").tag(config=True)
    lab_seconds = Integer(help="Timeout in seconds for the lab, after image and volumes are ready").tag(config=True)
    unschedulable_seconds = Integer(help="Timeout in seconds until a node has room for the lab").tag(config=True)

    pod_name = ""
    image = ""
    recovered_pod: Pod | None = None
    """The running pod of a lab that the hub is recovering, because the database lacks the lab. Otherwise None."""
    client_scopes: tuple[str, ...] = ()
    """Scopes that the lab's OAuth client may request from the hub."""
    _end_noted = False
    _delay_message = ""
    _identity: Identity | None = None
    _start_task: asyncio.Future[str] | None = None

    @default("ip")
    def _default_ip(self) -> str:
        return "0.0.0.0"  # noqa: S104  (the lab listens on all addresses of its pod)

    @default("port")
    def _default_port(self) -> int:
        return PORT

    @default("env_keep")
    def _default_env_keep(self) -> list[str]:
        return []  # pass no variables of the hub to a pod

    # --- the state in the database ------------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Return the state that JupyterHub stores in its database: the name of the pod, and why the last lab ended."""
        state: dict[str, Any] = {**super().get_state(), "last_end": self.last_end}
        return state | ({"pod_name": self.pod_name} if self.pod_name else {})

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the state from JupyterHub's database.

        A hub with KubeSpawner has stored the pod's name under the same key.
        """
        super().load_state(state)
        self.pod_name = state.get("pod_name", "")
        self.last_end = state.get("last_end")

    def clear_state(self) -> None:
        """Remove the name of the pod from the state, because the lab has ended."""
        super().clear_state()
        self.pod_name = ""

    def _note_end(self, end: Diagnosis) -> None:
        """Store why the lab has ended. Later reasons are ignored, because they are consequences of the first."""
        if self._end_noted:
            return
        self._end_noted = True
        metrics.ENDS.labels(end.reason).inc()
        if end.reason != "shutdown":
            self.store_end(end)

    # --- start --------------------------------------------------------------------------------------------------------

    @default("auth_state_hook")
    def _default_auth_state_hook(self) -> Callable[[LabSpawner, dict[str, Any] | None], None]:
        return LabSpawner._receive_auth_state

    def _receive_auth_state(self, auth_state: dict[str, Any] | None) -> None:
        """Store the identity from auth state, and the pod's name, before the pod is created.

        If the hub is killed during the start, the restarted hub finds the pod by the stored name.

        This method is JupyterHub's `auth_state_hook`. JupyterHub commits the stored name directly after the hook. For
        the spawn page, when no start is pending, JupyterHub also calls the hook, which then stores only the identity.
        """
        state = AuthState.from_dict(auth_state or {})
        self._identity = state.identity if state else None
        if self._identity and self._start_pending and not self.recovered_pod:
            self.pod_name = pod_name(self._identity, self.name)
            self.last_end, self._end_noted = None, False
            self.forget_clean_settings()
            self.orm_spawner.state = self.get_state()

    def get_env(self) -> dict[str, str]:
        """Return the environment variables that JupyterHub sets for a lab, and those that KubeSpawner would add."""
        interval = self.pod_settings.idle_seconds // 16 or REPORT_SECONDS_MAX
        environment: dict[str, str] = super().get_env()
        return environment | {
            "JUPYTER_IMAGE": self.image,
            "JUPYTER_IMAGE_SPEC": self.image,
            # Seconds between two activity reports of a lab. The hub can stop a lab up to one interval too early,
            # because activity since the last report is unknown to the hub. A shorter interval would cost CPU time: with
            # thousands of labs, activity reports are most of the hub's load.
            "JUPYTERHUB_ACTIVITY_INTERVAL": str(max(REPORT_SECONDS_MIN, min(REPORT_SECONDS_MAX, interval))),
        }

    async def start(self) -> str:
        """Start the lab, wait until the lab answers, and return the lab's URL.

        Raises
        ------
        SpawnException
            Raised with the reason if the lab does not start.
        """
        self._start_task = asyncio.ensure_future(self._start())
        return await self._start_task

    async def resume(self) -> str:
        """Continue a start that was pending when the hub stopped. Wait until the lab answers, and return the lab's URL.

        Raises
        ------
        SpawnException
            Raised with the reason if the lab does not start.
        """
        self._start_task = asyncio.ensure_future(self._finish_start(self._wait_until_ready()))
        return await self._start_task

    async def _start(self) -> str:
        if self.recovered_pod:
            return self._adopt_pod(self.recovered_pod)
        return await self._finish_start(self._launch())

    async def _finish_start(self, launch: Awaitable[StartedLab]) -> str:
        """Wait until the lab answers, and return the lab's URL. If the start fails, delete the pod."""
        began = time.monotonic()
        try:
            lab = await launch
        except SpawnFailedError as error:
            failure = error.diagnosis
            metrics.count_spawn_failure(failure.reason)
            self.note_failed_start(failure)
            self._end_noted = True  # a later `poll` must not store the deletion of the pod as the reason
            self.log.warning("%s: the lab did not start: %s: %s", self.user.name, failure.reason, failure.log_text)
            if self.pod_name:
                await self.launcher.remover.delete_pod(self.pod_name)
            raise error.for_jupyterhub() from None
        metrics.count_spawn(began, lab.reached)
        await yield_turn()
        return lab_url(lab.pod)

    async def _launch(self) -> StartedLab:
        """Create the user's folders and the lab's pod, and wait until the lab answers."""
        await yield_turn()
        identity = self._identity
        if identity is None:
            raise SpawnFailedError(diagnose("identity"))
        choice = self._choose(self.user_options)
        self.image = choice.image.image
        await self._create_folders(identity)
        manifest = build_pod(
            identity, choice, self.pod_settings, self.get_env(), hub_user=self.user.name, server=self.name
        )
        await self._create_pod(manifest)
        try:
            return await self._wait_until_ready()
        except SpawnFailedError:
            # The pod needs no grace period, because a lab that has never answered has nothing to save.
            await self.launcher.remover.delete_pod(self.pod_name, grace_period=AT_ONCE)
            raise

    async def _wait_until_ready(self) -> StartedLab:
        limits = StartLimits(self.pull_seconds, self.lab_seconds, self.unschedulable_seconds)
        return await self.launcher.wait_until_ready(self.pod_name, limits)

    def _adopt_pod(self, pod: Pod) -> str:
        """Use a running pod as the user's lab, with the API token in the pod, and return the lab's URL."""
        self.recovered_pod, self.pod_name = None, pod["metadata"]["name"]
        container = lab_container(pod)
        self.image = container["image"]
        self.api_token = next(
            variable["value"] for variable in container["env"] if variable["name"] == "JUPYTERHUB_API_TOKEN"
        )
        self.client_scopes = tuple(self.orm_spawner.oauth_client.allowed_scopes)
        return lab_url(pod)

    async def _create_pod(self, manifest: Pod) -> None:
        def note_leftover() -> None:
            self._delay_message = LEFTOVER_DELAY_MESSAGE

        timeout = self.pod_settings.stop_seconds + KUBELET_SECONDS
        try:
            await self.launcher.create_pod(manifest, leftover_timeout=timeout, on_leftover=note_leftover)
        finally:
            self._delay_message = ""

    async def _create_folders(self, identity: Identity) -> None:
        def note_delay(reason: str) -> None:
            if not self._delay_message:
                self.log.warning("%s: the fileserver does not answer: %s", self.user.name, reason)
            self._delay_message = STORAGE_DELAY_MESSAGE

        try:
            await self.home_provisioner.create_folders(identity, note_delay)
        except ProvisioningError as error:
            raise SpawnFailedError(diagnose("home", str(error))) from error
        finally:
            self._delay_message = ""

    def notify_report(self) -> None:
        """Wake the task that waits until this lab answers, because the lab has sent its first activity report."""
        self.launcher.notify(self.pod_name)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the events for the progress page: each event of the pod, each stage of the start, and each problem."""
        feed = ProgressFeed(pod_status.format_duration(self.unschedulable_seconds))
        while not (self._start_task and self._start_task.done()):
            pod, events = self.launcher.find_pod(self.pod_name), self.launcher.find_events(self.pod_name)
            if self._delay_message == LEFTOVER_DELAY_MESSAGE:  # the pod is still that of the previous lab
                news = feed.update(None, (), self._delay_message, diagnose_leftover(pod).detail if pod else "")
            else:
                news = feed.update(pod, events, self._delay_message)
            for event in news:
                yield event
            await self.launcher.wait_for_change(self.pod_name, 1)

    # --- the running lab ----------------------------------------------------------------------------------------------

    async def poll(self) -> int | None:
        """Return None if the lab runs or the state of the lab is unknown, else an exit status.

        While the Kubernetes API does not answer, the state is unknown. If this method returned an exit status,
        JupyterHub would treat the lab as ended, and delete the lab's route.
        """
        await self.launcher.pods.wait_until_loaded()
        name = self.pod_name  # a concurrent `stop` can clear the attribute
        pod = self.launcher.find_pod(name)
        if pod is None or pod_status.has_ended(pod):
            try:
                pod = await self.launcher.remover.read_pod(name) if name else None
            except API_ERRORS as error:
                self.log.warning("%s: the state of the lab is unknown: %s", self.user.name, format_api_error(error))
                return None
        if pod is None:
            if self.server and not self._stop_pending:
                self._note_end(pod_status.diagnose_deletion(self.launcher.find_deleted_pod(name)))
            return 1
        if pod_status.has_ended(pod):
            self._note_end(pod_status.diagnose_end(pod))
            await self.launcher.remover.delete_pod(name)
            return pod_status.exit_status(pod)
        if pod_status.is_terminating(pod) and (node := await self.find_lost_node()):
            # The lab counts as ended, because kubelet ends the lab as soon as the node answers again. The user has to
            # start a new lab.
            self._note_end(diagnose("node", f"The node {node} does not answer."))
            return 1
        return None

    @property
    def cut_off_pod(self) -> Pod | None:
        """The lab's pod if Kubernetes reports that the pod's node does not answer, else None."""
        pod = self.launcher.find_pod(self.pod_name)
        return pod if pod and is_cut_off(pod) else None

    async def find_lost_node(self) -> str:
        """Return the name of the lab's node if the node is not ready or has been deleted, else an empty text."""
        return await self.launcher.remover.find_lost_node(self.cut_off_pod) if self.cut_off_pod else ""

    async def get_url(self) -> str:
        """Return the lab's URL after a restart of the hub. If the lab is still starting, wait for its container."""
        seconds = self.unschedulable_seconds + self.pull_seconds + self.lab_seconds
        pod = await self.launcher.wait_until_running(self.pod_name, seconds)
        return lab_url(pod) if pod else str(self.server.url)

    async def stop(self, now: bool = False) -> None:
        """Stop the lab. If the lab has reached the maximum age or idle time, store this as the reason for the end."""
        if rule := self._find_culling_rule():
            self._note_end(rule)
        if self.pod_name:
            grace_period = AT_ONCE if now else self.pod_settings.stop_seconds
            await self.launcher.remover.stop_pod(self.pod_name, grace_period=grace_period)

    def _find_culling_rule(self) -> Diagnosis | None:
        """Return the limit that the lab has reached, maximum age or idle time, or None."""
        row = self.orm_spawner
        if not row or not row.started:
            return None
        return pod_status.diagnose_culling(row.started, row.last_activity, utcnow(with_tz=False), self.pod_settings)

    async def force_delete(self) -> None:
        """Delete the lab's pod at once, without time to save. If its node is not ready, remove the pod by force."""
        if self.pod_name:
            await self.launcher.remover.delete_at_once(self.pod_name)

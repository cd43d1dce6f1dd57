"""KubeSpawner, with our pod, our watch, and an end for every wait."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, ClassVar

import aiohttp
from jupyterhub.utils import utcnow  # type: ignore[import-untyped]
from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner  # type: ignore[import-untyped]
from traitlets import Instance, Integer

from labhub.labs import pod_status as diagnosis
from labhub.telemetry import metrics as metrics
from labhub.infra import fair_scheduling as turns
from labhub.models.auth_state import AuthState
from labhub.labs.pod_status import GRACE, STAGES, Diagnosis, Pod
from labhub.labs.spawn_errors import Failed
from labhub.labs.home_provisioning import Folders, FoldersError
from labhub.models.identity import Identity
from labhub.models.profiles import Choice, ChoiceError, Menu
from labhub.labs.pod import Site, build_pod, pod_name
from labhub.labs.reflector import PodWatch, say

# What an API that is away or a connection that is lost raises
API_ERRORS = (ApiException, aiohttp.ClientError, OSError, TimeoutError, asyncio.TimeoutError)
# Seconds to read one pod, when the watch says that it has gone
READ_SECONDS = 5
# Seconds to connect to a lab: less than the one after which Linux sends a packet again that was dropped
CONNECT_SECONDS = 0.25
# Seconds between looks whether the lab's port answers; how they grow
LOOK_FIRST, LOOK_GROWTH, LOOK_LAST = 0.02, 1.5, 1.0


class LabSpawner(KubeSpawner):  # type: ignore[misc]  # untyped
    """One user's lab, as `labhub.configuration.configure_labs` sets it up."""

    site = Instance(Site).tag(config=True)
    menu = Instance(Menu).tag(config=True)
    folders = Instance(Folders).tag(config=True)
    pull_seconds = Integer(help="for a node, the image and the volumes").tag(config=True)
    lab_seconds = Integer(help="for the lab to answer, from then on").tag(config=True)
    unschedulable_seconds = Integer(help="for a node that has room").tag(config=True)

    last_end: dict[str, Any] | None = None
    """Why the lab before ended: reason, message, detail, at (Unix time, seconds)."""
    found: Pod | None = None
    """A lab that runs already, and that the hub is to take up (`labhub.lifecycle.lab_recovery`)."""
    client_scopes: tuple[str, ...] = ()
    """What its OAuth client may ask for."""
    _over = False
    # What the page says while the fileserver is waited for
    _delay = ""
    _identity: Identity | None = None
    _to_configure: ClassVar[dict[str, Any]] = {}

    def traits(self, **metadata: Any) -> dict[str, Any]:
        """Give the traits. Those to configure are looked for once: with thousands of labs a tenth of a hub's start."""
        if metadata != {"config": True}:
            return dict(super().traits(**metadata))
        if not self._to_configure:
            self._to_configure.update(super().traits(**metadata))
        return self._to_configure

    # --- the menu -----------------------------------------------------------------------------------------------------

    @property
    def remembered(self) -> Choice:
        """What the form shows as chosen: the last choice."""
        return self.menu.remember(self.orm_spawner.user_options or {})

    async def get_options_form(self) -> str:
        """Tell JupyterHub whether there is something to choose; `templates/spawn.html` shows it."""
        return "the menu" if len(self.menu.images) > 1 or len(self.menu.sizes) > 1 else ""

    def run_options_from_form(self, formdata: dict[str, list[str]]) -> dict[str, str]:
        """Give the choice that a form sends.

        Raises
        ------
        SpawnException
            It is not on the menu.
        """
        asked = {name: values[0] for name, values in formdata.items()}
        try:
            return self.menu.choose(asked).to_dict()
        except ChoiceError as error:
            raise Failed(Diagnosis("choice", str(error)), status=400).for_user() from error

    options_from_query = run_options_from_form

    # --- what is kept in the database ---------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Keep why the lab ended, beside where it runs."""
        return {**super().get_state(), "last_end": self.last_end}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what was kept."""
        super().load_state(state)
        self.last_end = state.get("last_end")

    def _remember(self, end: Diagnosis) -> None:
        """Note why the lab is over; what is found out first counts, what follows comes of it."""
        if self._over:
            return
        self._over = True
        metrics.ENDS.labels(end.reason).inc()
        if end.reason != "shutdown":
            kept = {"reason": end.reason, "message": end.message, "detail": end.detail, "at": time.time()}
            self.last_end = kept

    # --- the watches: `labhub.app` starts them before it looks at any lab ---------------------------------------------

    async def _start_watching_pods(self, replace: bool = False) -> Any:
        return self.pod_reflector  # it mends itself: KubeSpawner has no need to replace it

    async def _start_watching_events(self, replace: bool = False) -> Any:
        return self.event_reflector

    @property
    def _key(self) -> str:
        return f"{self.namespace}/{self.pod_name}"

    # --- start --------------------------------------------------------------------------------------------------------

    async def run_auth_state_hook(self, auth_state: dict[str, Any] | None) -> None:
        """Note which pod it will be, just before JupyterHub commits: a hub that is killed meanwhile finds it again.

        JupyterHub calls this for the form, too, where nothing starts and nothing is committed.
        """
        await super().run_auth_state_hook(auth_state)
        state = AuthState.from_dict(auth_state or {})
        self._identity = state.identity if state else None
        if self._identity and self._start_pending and not self.found:
            self.pod_name = pod_name(self._identity, self.name)
            self.last_end, self._over = None, False
            self.orm_spawner.state = self.get_state()

    async def _start(self) -> str:
        """Start the lab.

        Returns
        -------
        str
            Its URL; it answers there.

        Raises
        ------
        SpawnException
            It will not come, for the reason that it says.
        """
        if self.found:
            return self._take_up(self.found)
        started = time.monotonic()
        try:
            url, reached = await self._spawn()
        except Failed as failure:
            metrics.spawn_failed(failure.diagnosis.reason)
            self.log.warning("%s: no lab: %s: %s", self.user.name, failure.diagnosis.reason, failure.diagnosis.logged)
            await self._clean_up()
            raise failure.for_user() from None
        metrics.spawned(started, reached)
        return url

    async def _spawn(self) -> tuple[str, dict[str, float]]:
        await turns.take()
        identity = self._identity
        if identity is None:
            raise Failed(diagnosis.explain("identity"))
        choice = self._choose()
        self.image = choice.image.image
        await self._make_folders(identity)
        environment = self.get_env() | {"JUPYTERHUB_ACTIVITY_INTERVAL": str(self._report_seconds())}
        manifest = build_pod(identity, choice, self.site, environment, hub_user=self.user.name, server=self.name)
        await self._create(manifest)
        reached = await self._wait(self.pod_reflector)
        await turns.take()
        return str(self._get_pod_url(self._known())), reached

    def _take_up(self, pod: Pod) -> str:
        """Be the spawner of a lab that runs, with the token that it has."""
        self.found, self.pod_name = None, pod["metadata"]["name"]
        container = pod["spec"]["containers"][0]
        self.image = container["image"]
        self.api_token = next(one["value"] for one in container["env"] if one["name"] == "JUPYTERHUB_API_TOKEN")
        self.client_scopes = tuple(self.orm_spawner.oauth_client.allowed_scopes)
        return str(self._get_pod_url(pod))

    async def _make_folders(self, identity: Identity) -> None:
        """Have the fileserver make what the pod mounts."""

        def delayed(reason: str) -> None:
            if not self._delay:
                self.log.warning("%s: the fileserver does not answer: %s", self.user.name, reason)
            self._delay = "Waiting for the shared storage, which does not answer"

        try:
            await self.folders.make(identity, delayed)
        except FoldersError as error:
            raise Failed(diagnosis.explain("home", str(error))) from error
        finally:
            self._delay = ""

    def _report_seconds(self) -> int:
        """Say how often a lab tells the hub of its activity: it is stopped at most so much too early.

        Of thousands of labs these reports are most of what a hub has to do.
        """
        return max(5, min(900, self.site.idle_seconds // 16 or 900))

    def _choose(self) -> Choice:
        try:
            return self.menu.choose(self.user_options)
        except ChoiceError as error:
            raise Failed(Diagnosis("choice", str(error)), status=400) from error

    async def _create(self, manifest: Pod) -> None:
        """Make the pod; one of the same name that is left over is removed first."""
        deadline = time.monotonic() + self.k8s_api_request_retry_timeout
        while True:
            try:
                if await self._is_created(manifest):
                    return
            except API_ERRORS as error:
                self.log.warning("the API of Kubernetes does not answer: %s", say(error))
            if time.monotonic() > deadline:
                raise Failed(diagnosis.explain("api"))
            await asyncio.sleep(2)

    async def _is_created(self, manifest: Pod) -> bool:
        """Ask once for the pod."""
        # The answer is the pod as the watch brings it, too: to make objects of it is 3 % of a spawn.
        response = await self.api.create_namespaced_pod(
            self.namespace, manifest, _request_timeout=self.k8s_api_request_timeout, _preload_content=False
        )
        said = await response.text()
        if response.status == HTTPStatus.CREATED:
            return True
        if response.status == HTTPStatus.CONFLICT:
            self.log.warning("%s is there already; it is removed first", self._key)
            await self.stop(True)
            return False
        if response.status >= 500 or response.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ApiException(status=response.status, reason=_message(said))
        raise Failed(diagnosis.explain_refusal(response.status, _message(said)))

    async def _wait(self, pods: PodWatch) -> dict[str, float]:
        """Wait until the lab answers; give when it came how far."""
        reached: dict[str, float] = {}
        look = LOOK_FIRST
        deadline = time.monotonic() + self.pull_seconds
        trouble = diagnosis.Trouble({**GRACE, "unschedulable": float(self.unschedulable_seconds)})
        while True:
            now = time.monotonic()
            pod = self._known()
            at = diagnosis.stage(pod, self.events) if pod else STAGES[0]
            for one in STAGES[1 : STAGES.index(at) + 1]:
                if one not in reached:
                    reached[one] = now
                    deadline = now + self.lab_seconds if one != "scheduled" else deadline
            if pod and (found := trouble.lasts(diagnosis.find_trouble(pod), now)):
                raise Failed(found)
            if pod and diagnosis.is_ready(pod) and await self._answers(pod):
                return reached | {"ready": time.monotonic()}
            if now > deadline:
                raise Failed(diagnosis.explain("timeout", self._last_warning() or diagnosis.ABOUT[at]))
            if pod and diagnosis.is_ready(pod):
                # Less often the longer it takes: twenty labs that start at once on one node take a while. A lab's first
                # report comes just before it listens.
                told = await pods.changed(self._key, look)
                look = LOOK_FIRST if told else min(look * LOOK_GROWTH, LOOK_LAST)
            else:
                await pods.changed(self._key, 1)

    def look(self) -> None:
        """Look at once whether the lab answers, and often from then on, if it is waited for: it has reported."""
        self.pod_reflector.tell(self._key)

    async def _answers(self, pod: Pod) -> bool:
        """Tell whether somebody listens on the lab's port; JupyterHub then asks whether it is a lab."""
        address = pod["status"]["podIP"]
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connection:
                connection.setblocking(False)
                connecting = asyncio.get_running_loop().sock_connect(connection, (address, self._get_pod_port(pod)))
                await asyncio.wait_for(connecting, CONNECT_SECONDS)
        except (OSError, TimeoutError):
            return False
        return True

    @property
    def events(self) -> list[dict[str, Any]]:
        """What is reported of this very pod; the one before had the same name."""
        pod = self._known()
        events: list[dict[str, Any]] = self.event_reflector.about(pod["metadata"]["uid"]) if pod else []
        return events

    def _last_warning(self) -> str:
        warnings = [event["message"] for event in self.events if event.get("type") == "Warning"]
        return warnings[-1] if warnings else ""

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Say what the lab is about until it is there: one line for each thing that happens."""
        said: list[str] = []
        doing = ""
        while not (self._start_future and self._start_future.done()):
            pod = self._known()
            at = diagnosis.stage(pod, self.events) if pod else STAGES[0]
            percent = 20 * (1 + STAGES.index(at))
            for line in (event["message"] for event in self.events):
                if line not in said:
                    said.append(line)
                    yield {"progress": percent, "message": line}
            # After a delay it says again what it said before.
            now = self._delay or diagnosis.ABOUT[at]
            if now != doing:
                doing = now
                yield {"progress": percent, "message": now}
            await self.pod_reflector.changed(self._key, 1)

    # --- is it there? -------------------------------------------------------------------------------------------------

    async def poll(self) -> int | None:
        """Tell whether the lab runs.

        Returns
        -------
        int or None
            None: it runs, or nobody can tell; a number: it does not. That the API cannot be asked is never taken
            for "gone": JupyterHub would forget the lab and cut it off.
        """
        await self.pod_reflector.loaded()
        pod = self._known()
        if pod is None or diagnosis.has_ended(pod):
            try:
                pod = await self._read()
            except API_ERRORS as error:
                self.log.warning("%s: whether the lab runs cannot be told: %s", self._key, say(error))
                return None
        if pod is None:
            if self.server and not self._stop_pending:
                self._remember(diagnosis.explain_deletion(self.pod_reflector.gone.get(self._key)))
            return 1
        if diagnosis.has_ended(pod):
            self._remember(diagnosis.explain_end(pod))
            await self._clean_up()
            return diagnosis.exit_status(pod)
        return None

    def _known(self) -> Pod | None:
        pod: Pod | None = self.pod_reflector.pods.get(self._key)
        return pod

    async def _read(self) -> Pod | None:
        """Ask the API itself for the pod; None: there is none."""
        response = await self.api.read_namespaced_pod(
            self.pod_name, self.namespace, _request_timeout=READ_SECONDS, _preload_content=False
        )
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status != HTTPStatus.OK:
            raise ApiException(status=response.status, reason=response.reason)
        pod: Pod = await response.json()
        return pod

    async def get_url(self) -> str:
        """Give the lab's URL to a hub that has started anew; wait for a lab that was starting when it was killed."""
        deadline = time.monotonic() + self.pull_seconds + self.lab_seconds
        while time.monotonic() < deadline:
            pod = self._known()
            if pod is None or diagnosis.has_ended(pod):
                break
            if diagnosis.is_ready(pod):
                return str(self._get_pod_url(pod))
            await self.pod_reflector.changed(self._key, 1)
        return str(self.server.url)

    # --- stop ---------------------------------------------------------------------------------------------------------

    async def stop(self, now: bool = False) -> None:
        """Stop the lab, and remember it if that was for its idleness or its age."""
        if rule := self._policy():
            self._remember(rule)
        await super().stop(now)

    def _policy(self) -> Diagnosis | None:
        """Say which of the culler's rules the lab had met."""
        row, site = self.orm_spawner, self.site
        if not row or not row.started:
            return None
        moment = utcnow(with_tz=False)
        age = (moment - row.started).total_seconds()
        idle = (moment - (row.last_activity or row.started)).total_seconds()
        if site.max_age_seconds and age >= site.max_age_seconds:
            return diagnosis.explain("age", time=diagnosis.span(site.max_age_seconds))
        if site.idle_seconds and idle >= site.idle_seconds:
            return diagnosis.explain("idle", time=diagnosis.span(site.idle_seconds))
        return None

    async def remove(self) -> None:
        """Have the pod deleted at once, also one whose node does not answer any more."""
        try:
            await self.api.delete_namespaced_pod(
                self.pod_name, self.namespace, grace_period_seconds=0, _request_timeout=READ_SECONDS
            )
        except API_ERRORS as error:
            if getattr(error, "status", None) != HTTPStatus.NOT_FOUND:
                self.log.warning("%s cannot be removed now: %s", self._key, say(error))

    async def _clean_up(self) -> None:
        """Have the pod deleted, without waiting; what cannot be deleted now the reconcile deletes later."""
        try:
            await self.api.delete_namespaced_pod(self.pod_name, self.namespace, _request_timeout=READ_SECONDS)
        except API_ERRORS as error:
            if getattr(error, "status", None) != HTTPStatus.NOT_FOUND:
                self.log.warning("%s cannot be deleted now: %s", self._key, say(error))


def _message(body: str) -> str:
    """Give what the API says in an error's body, which is JSON."""
    try:
        return str(json.loads(body)["message"])
    except (TypeError, ValueError, KeyError):
        return body

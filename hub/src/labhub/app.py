"""The hub's application: JupyterHub with database checks, routes, reflectors and background tasks of our own."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from subprocess import CalledProcessError

from sqlalchemy.exc import DBAPIError
from traitlets import Integer, Unicode, default

from labhub._patches.jupyterhub_app import HookedJupyterHub, Route
from labhub.configuration import CONFIG_FILE
from labhub.infra import database
from labhub.infra.announcement_store import AnnouncementStore
from labhub.infra.kubernetes_client import make_api
from labhub.labs.launcher import LabLauncher
from labhub.labs.pod_status import MESSAGES, count_labs
from labhub.labs.reflector import EventReflector, PodReflector
from labhub.labs.spawner import LabSpawner
from labhub.lifecycle.lab_recovery import find_lost_labs, last_known_activity, recover_labs
from labhub.lifecycle.reconciler import Reconciler
from labhub.models.pod_types import SELECTOR
from labhub.telemetry import metrics
from labhub.web.routes import ROUTES
from labhub.web.spawn import refuse_during_pause

# Thresholds of Python's garbage collector. With 2,000 labs, a full collection blocks the hub for a second. With
# Python's default thresholds, a busy hub would run a full collection every ten seconds.
GC_THRESHOLDS = (10_000, 20, 50)


class LabHub(HookedJupyterHub):
    """JupyterHub with labs in Kubernetes pods."""

    name = "labhub"
    metrics_port = Integer(help="Port for Prometheus").tag(config=True)
    lab_namespace = Unicode(help="Namespace of the labs' pods").tag(config=True)
    launcher: LabLauncher
    recovering_labs = False
    """Whether the hub is recovering lost labs. The hub refuses to start labs until the recovery has finished."""
    labs_recovered = False
    """Whether the recovery of lost labs has finished. Until then, the hub keeps routes and pods of unknown labs."""

    @default("config_file")
    def _default_config_file(self) -> str:
        return str(CONFIG_FILE)

    @property
    def announcements(self) -> AnnouncementStore:
        """The store of the current announcement. The page templates use the same object."""
        store: AnnouncementStore = self.template_vars["announcements"]
        return store

    def open_database(self, init_db: Callable[[], None]) -> None:
        """Open the database, or exit with an error message of one line."""
        try:
            database.check_schema(self.db_url)
            database.use_write_ahead_log()
            init_db()
        except database.DatabaseError as error:
            self._exit_with(error)
        except DBAPIError as error:
            self._exit_with(database.describe_failure(self.db_url, error))
        except CalledProcessError:  # alembic, which migrates the schema, has logged the error
            reason = "its migration failed; restore a backup (docs/admin/database.md)"
            self._exit_with(database.describe_failure(self.db_url, reason))

    def _exit_with(self, error: Exception) -> None:
        self.log.critical("%s", error)
        self.exit(1)

    def own_routes(self) -> Sequence[Route]:
        """Return the routes of the pages and API calls that the hub adds."""
        return ROUTES

    async def check_labs(self, check: Callable[[], Awaitable[int]]) -> int:
        """Start the reflectors, check which labs run, and start the background tasks.

        `LabSpawner.poll` waits for the first answer of the Kubernetes API. Without this wait, JupyterHub would assume
        that all labs have ended, and delete them: https://github.com/jupyterhub/kubespawner/issues/786. While the hub
        waits for the API, the routes of the labs stay, and the hub's pages work.
        """
        start_garbage_collection()
        # With the patches, `SpawnPauseMixin` refuses a start during a pause. Without the patches, this hook refuses
        # such a start.
        if not self.patched:
            self.config.LabSpawner.pre_spawn_hook = refuse_during_pause
        # Read the time before the first login, because each login changes the last activity.
        known_until = last_known_activity(self.db)
        self.launcher = LabSpawner.launcher = self._make_launcher()
        self._export_metrics()
        checked = await check()
        # Recover the labs in a separate task. If this method awaited the recovery, JupyterHub would log a traceback if
        # the hub stops during the recovery.
        self._recovery = asyncio.create_task(self._recover_labs(known_until))
        return checked

    def _make_launcher(self) -> LabLauncher:
        api, namespace = make_api(), self.lab_namespace
        selector = ",".join(f"{name}={value}" for name, value in SELECTOR.items())
        pods = PodReflector(api, namespace, label_selector=selector)
        events = EventReflector(api, namespace, field_selector="involvedObject.kind=Pod")
        pods.start()
        events.start()
        return LabLauncher(api, pods, events)

    def _export_metrics(self) -> None:
        pods = self.launcher.pods
        for reflector in (pods, self.launcher.events):
            metrics.export_watch(
                reflector.kind, partial(getattr, reflector, "age"), partial(getattr, reflector, "idle")
            )
        metrics.SPAWNING_STOPPED.set_function(lambda: bool(self.announcements.pause))
        # Count a copy of the list, because the metrics server calls this function in another thread.
        metrics.export_labs(lambda: count_labs(list(pods.objects.values())))
        metrics.serve_metrics(self.metrics_port, MESSAGES)

    async def _recover_labs(self, known_until: datetime) -> None:
        """Recover lost labs, then start the reconciler."""
        pods, reconciler = self.launcher.pods, Reconciler(self, self.launcher)
        await pods.wait_until_loaded()
        lost = find_lost_labs(pods.objects.values(), reconciler.claimed_pods(), known_until)
        self.recovering_labs = bool(lost)
        await recover_labs(self, lost)
        self.recovering_labs, self.labs_recovered = False, True
        reconciler.start()
        gc.freeze()


def start_garbage_collection() -> None:
    """Turn on garbage collection, which `labhub.__main__` has turned off.

    Exempt all objects that exist now, because imported modules stay in memory.
    """
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


def main(arguments: Sequence[str] = ()) -> None:
    """Run the hub. The command line has the same options as JupyterHub's."""
    LabHub.launch_instance(list(arguments))

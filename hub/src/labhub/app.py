"""JupyterHub as a program: `python -m labhub`.

JupyterHub takes a Kubernetes API that is away at its start for labs that are gone: it forgets them all and cuts them
off (jupyterhub 4575, kubespawner 786). Here it waits for the API's first answer.
"""

from __future__ import annotations

import asyncio
import gc
from datetime import datetime
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError

from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from kubernetes_asyncio.client import Configuration
from kubespawner.clients import load_config  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError
from traitlets import Integer

from labhub.lifecycle import lab_recovery as adoption
from labhub.infra import http_session as connections
from labhub.infra import database as database
from labhub.telemetry import metrics as metrics
from labhub.lifecycle import startup as restart
from labhub._patches import jupyterhub_functions as upstream
from labhub.models.announcement import Board
from labhub.configuration import CONFIG_FILE
from labhub.web.spawn import HANDLERS
from labhub.labs.pod import SELECTOR
from labhub.lifecycle.reconciler import Reconciler
from labhub.labs.spawner import LabSpawner
from labhub.labs.reflector import EventWatch, PodWatch

# How often Python looks through all that it has for what nobody holds any more. While it does nobody is answered, for a
# second with 2,000 labs; by default it was every ten seconds of a busy hub.
COLLECT = (10_000, 20, 50)


class LabHub(JupyterHub):  # type: ignore[misc]  # untyped
    """The hub."""

    name = "labhub"
    metrics_port = Integer(help="where Prometheus reads").tag(config=True)
    board: Board
    pods: PodWatch
    events: EventWatch
    adopting = False
    """Labs that run are being made their users' again: none is started meanwhile."""
    adopted = False
    """That has been done: whatever else runs is nobody's."""

    def init_db(self) -> None:
        """Take the database up, or end with one line that says what is wrong with it."""
        upstream.mend(self.db_url)
        try:
            database.check(self.db_url)
            super().init_db()
        except database.DatabaseTrouble as error:
            self.fail(error)
        except DBAPIError as error:
            self.fail(database.trouble(self.db_url, error))
        except CalledProcessError:  # alembic's, whose own words stand above
            self.fail(database.trouble(self.db_url, "its migration has failed; docs/admin/database.md: Going back"))

    def fail(self, why: Exception) -> None:
        """End with one line in the log."""
        self.log.critical("%s", why)
        self.exit(1)

    def init_tornado_settings(self) -> None:
        """Take up what is announced, which every page shows."""
        # In the folder that the hub runs in, where JupyterHub keeps its secret of cookies, too: a volume.
        self.board = Board(Path("announcement.json"))
        self.template_vars["board"] = self.board
        metrics.SPAWNING_STOPPED.set_function(lambda: bool(self.board.stop))
        super().init_tornado_settings()

    def init_handlers(self) -> None:
        """Put our pages before JupyterHub's."""
        super().init_handlers()
        self.handlers[:0] = self.add_url_prefix(self.hub_prefix, HANDLERS)

    async def cleanup(self) -> None:
        """End what the hub has started, and its connections."""
        await super().cleanup()
        await connections.close()

    async def init_spawners(self) -> int:
        """Begin to watch the labs, then look which of them run.

        `LabSpawner.poll` waits until Kubernetes has answered once. Until then each lab that ran is one that is being
        checked, its route stays, and the hub's pages answer.
        """
        relax_verification()
        known_until = adoption.horizon(self.db)  # before anybody can log in
        namespace = self.config.LabSpawner.namespace
        self.pods = PodWatch(parent=self, namespace=namespace, labels=SELECTOR)
        self.events = EventWatch(parent=self, namespace=namespace, fields={"involvedObject.kind": "Pod"})
        for one in (self.pods, self.events):
            one.begin()
            LabSpawner.reflectors[(one.kind, namespace)] = one
            metrics.watch(one.kind, partial(getattr, one, "age"), partial(getattr, one, "idle"))
        # A list, made at once: Prometheus is answered from another thread.
        metrics.labs(lambda: list(self.pods.pods.values()))
        metrics.serve(self.metrics_port)
        found = await restart.take_up(self)
        # Apart: of what is cancelled in here, as at an early end, JupyterHub logs a traceback.
        self._reconciling = asyncio.create_task(self._reconcile(Reconciler(self, self.pods, namespace), known_until))
        return found

    async def start(self) -> None:
        """Begin to serve."""
        gc.freeze()
        gc.set_threshold(*COLLECT)
        gc.enable()
        await super().start()

    async def _reconcile(self, reconciler: Reconciler, known_until: datetime) -> None:
        """Take up the labs that the database does not know, then put both in line from time to time."""
        await self.pods.loaded()
        unknown = adoption.find_unknown(self.pods.pods.values(), reconciler.claimed(), known_until)
        self.adopting = bool(unknown)
        await adoption.adopt(self, unknown)
        self.adopting, self.adopted = False, True
        reconciler.start()
        gc.freeze()  # what is there now stays


def relax_verification() -> None:
    """Take the certificate of a cluster's authority as OpenSSL does, not as strictly as Python 3.13.

    Python 3.13 refuses authorities without a key usage extension, which those of many clusters are. The certificate
    is verified all the same.
    """
    load_config()
    configuration = Configuration.get_default_copy()
    configuration.disable_strict_ssl_verification = True
    Configuration.set_default(configuration)


def main() -> None:
    """Run the hub with our configuration."""
    LabHub.launch_instance(["--config", str(CONFIG_FILE)])

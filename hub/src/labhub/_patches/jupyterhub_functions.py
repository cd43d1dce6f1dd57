"""Replacements for functions of JupyterHub. CPU figures are for a hub with 2,000 labs: docs/dev/scale.md."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Any

from cryptography.fernet import InvalidToken
from jupyterhub import utils  # type: ignore[import-untyped]
from jupyterhub.crypto import CryptKeeper, EncryptionUnavailable, decrypt, encrypt  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.handlers.metrics import MetricsHandler  # type: ignore[import-untyped]
from jupyterhub.handlers.pages import HealthCheckHandler  # type: ignore[import-untyped]
from jupyterhub.metrics import RUNNING_SERVERS  # type: ignore[import-untyped]
from jupyterhub.oauth import provider  # type: ignore[import-untyped]
from jupyterhub.user import User, UserDict  # type: ignore[import-untyped]

from labhub.infra.fair_scheduling import yield_turn

# JupyterHub's functions before the patches. hub/tests/unit/test_patches.py compares a hash of each function's source.
add_client = provider.JupyterHubOAuthServer.add_client
count_active_users = UserDict.count_active_users
get_auth_state = User.get_auth_state
prepare = BaseHandler.prepare

LAB_CLIENT_PREFIX = "jupyterhub-user-"
COUNT_SECONDS = 5


def hash_lab_secrets_once() -> None:
    """Hash the OAuth client secret of a lab with one round instead of 16,384.

    Why: the secret is the lab's API token, 128 random bits, and JupyterHub itself stores that token with one round. The
    16,384 rounds protect secrets that can be guessed. So the patch does not change the rounds for the secrets of other
    clients, for example of configured services.
    Gain: 7 ms at the start of a lab, and 7 ms at each login to a lab. This is 4 % of the hub's CPU time for a spawn.
    Upstream: pass `generated=True` for the hub's own tokens to `hash_token`, as `APIToken.new` does.
    """
    provider.JupyterHubOAuthServer.add_client = _add_client


def _add_client(server: Any, client_id: str, client_secret: str, *args: Any, **kwargs: Any) -> Any:
    if not client_id.startswith(LAB_CLIENT_PREFIX):
        return add_client(server, client_id, client_secret, *args, **kwargs)
    # Replace `hash_token` only during this call. `add_client` contains no `await`, so no other task can use the
    # replacement.
    provider.hash_token = partial(utils.hash_token, rounds=1)
    try:
        return add_client(server, client_id, client_secret, *args, **kwargs)
    finally:
        provider.hash_token = utils.hash_token


def count_labs_periodically() -> None:
    """Count the active labs every five seconds instead of at each spawn.

    Why: at each spawn JupyterHub counts the active labs of all users, for two limits and for a metric. If
    `active_server_limit` or `concurrent_spawn_limit` is set, the patch has no effect, so that JupyterHub enforces the
    limit exactly.
    Gain: 14 % of the hub's CPU time for a spawn.
    Upstream: count only if a limit is set.
    """
    UserDict.count_active_users = _count_active_users


def _count_active_users(users: UserDict) -> Counter[str]:
    if users.settings.get("active_server_limit") or users.settings.get("concurrent_spawn_limit"):
        exact: Counter[str] = count_active_users(users)
        return exact
    now = time.monotonic()
    if now - getattr(users, "_counted_at", 0.0) > COUNT_SECONDS:
        users._counted_at = now
        counts: Counter[str] = count_active_users(users)
        return counts
    # Between two full counts, return the value of the metric RUNNING_SERVERS. JupyterHub sets the metric to the result
    # of each full count, and updates the metric at each start and stop of a lab.
    return Counter(active=int(RUNNING_SERVERS._value.get()))


def keep_newest_auth_state() -> None:
    """Keep the auth state that a login or logout stores while JupyterHub decrypts the older one.

    Why: while two encryption keys are configured, JupyterHub re-encrypts and stores each auth state that it reads. If
    the user logs out before JupyterHub stores the old auth state, JupyterHub overwrites the new one, and so restores
    the revoked token.
    Gain: correctness.
    Upstream: store the re-encrypted auth state only if the database still contains the value that was read.
    """
    User.get_auth_state = _get_auth_state


async def _get_auth_state(user: User) -> dict[str, Any] | None:
    stored = user.encrypted_auth_state
    if stored is None:
        return None
    try:
        state: dict[str, Any] = await decrypt(stored)
    except (ValueError, InvalidToken, EncryptionUnavailable) as error:
        user.log.warning("the auth state of %s cannot be read: %r", user.name, error)
        return None
    if len(CryptKeeper.instance().keys) > 1:
        renewed = await encrypt(state)
        if user.encrypted_auth_state == stored:
            user.encrypted_auth_state = renewed
            user.db.commit()
    return state


def queue_requests() -> None:
    """Queue the requests that need the database. Requests for probes and metrics do not wait in the queue.

    Why: the event loop runs 200 simultaneous requests in one pass, which blocks all other tasks for seconds
    (`labhub.infra.fair_scheduling`).
    Gain: during 200 spawns, the slowest request for the health page takes 0.2 s instead of 2.7 s.
    Upstream: no proposal yet, because tornado, JupyterHub's web server, has no queue of requests.
    """
    BaseHandler.prepare = _prepare


async def _prepare(handler: BaseHandler) -> None:
    if not isinstance(handler, HealthCheckHandler | MetricsHandler):
        await yield_turn()
    await prepare(handler)


def apply_patches() -> None:
    """Apply all patches of this module."""
    hash_lab_secrets_once()
    count_labs_periodically()
    keep_newest_auth_state()
    queue_requests()

"""Says, step by step, whether the relay could publish: `python -m beatsrelay --check`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from beatsrelay.amqp.session import BrokerError, Session, explain, finish, tls_context
from beatsrelay.amqp.messages import Batch, Debt
from beatsrelay.routing import Route
from beatsrelay.settings.model import Settings, parse_route

SECONDS = 10
BODY = b'{"message":"a test message of beatsrelay --check"}'


def route(text: str) -> Route:
    """Read a route from the command line."""
    try:
        return parse_route(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {text}, wanted EXCHANGE/KEY or /QUEUE") from error


async def check(settings: Settings, test: Route | None) -> int:
    """Print a line for each step; give the exit status.

    Every host is tried, since each may be the one that is left.
    """
    logging.disable()
    return max([await check_host(settings, host, test) for host in settings.amqp_hosts])


async def check_host(settings: Settings, host: str, test: Route | None) -> int:
    """Go through the steps with one host, up to the first that fails."""
    session = Session(settings)
    steps: dict[str, Callable[[], Awaitable[str]]] = {
        "name resolution": lambda: resolve(host, settings.amqp_port),
        "TLS" if settings.amqp_tls else "TCP": lambda: connect(settings, host),
        "login, virtual host, exchange": lambda: log_in(session, host, settings),
    }
    if test:
        steps["a confirmed message"] = lambda: send(session, test)
    status = 0
    for name, step in steps.items():
        try:
            async with asyncio.timeout(SECONDS):
                print(f"ok      {host}: {name}: {await step()}")  # noqa: T201
        except (OSError, BrokerError) as error:
            print(f"FAILED  {host}: {name}: {reason(error)}")  # noqa: T201
            status = 1
            break
    await session.close()
    return status


def reason(error: OSError | BrokerError) -> str:
    """Say in one line why a step failed."""
    if isinstance(error, BrokerError):
        return str(error)
    if isinstance(error, TimeoutError) and not error.errno:  # our own; the network's has a number
        return f"no answer within {SECONDS} s"
    return explain(error)


async def resolve(host: str, port: int) -> str:
    """Look the host up."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))


async def connect(settings: Settings, host: str) -> str:
    """Connect, and shake hands."""
    context = tls_context(settings) if settings.amqp_tls else None
    _, writer = await asyncio.open_connection(host, settings.amqp_port, ssl=context)
    tls = writer.get_extra_info("ssl_object")
    writer.close()
    return f"port {settings.amqp_port}" + (f", {tls.version()}, its certificate is trusted" if tls else "")


async def log_in(session: Session, host: str, settings: Settings) -> str:
    """Open a channel in confirm mode."""
    try:
        await session.open(host)
    except BrokerError as error:
        raise BrokerError(str(error).removeprefix(f"{host}: ")) from error
    return f"as {settings.amqp_user} at {settings.amqp_vhost}, {settings.exchange}"


async def send(session: Session, test: Route) -> str:
    """Publish one message, and wait for what the broker says of it."""
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    session.on_return = lambda _: finish(answered, "no queue takes what goes there")
    session.on_confirm = lambda _tag, _multiple, taken: finish(answered, "" if taken else "the broker refused it")
    session.publish(Batch(Debt(1, len(BODY), lambda _: None), test, [BODY], range(1)))
    await asyncio.wait([answered, session.lost], return_when=asyncio.FIRST_COMPLETED)
    failed = answered.result() if answered.done() else session.lost.result()
    if failed:
        raise BrokerError(failed)
    return f"to {test.exchange or '(default exchange)'}/{test.key}"

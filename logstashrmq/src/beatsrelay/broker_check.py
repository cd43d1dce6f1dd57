"""The command `python -m beatsrelay --check`, which checks the connection to RabbitMQ step by step."""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from beatsrelay.amqp.connection_parameters import create_client_context
from beatsrelay.amqp.errors import BrokerError, format_amqp_error
from beatsrelay.amqp.frames import BatchWriter
from beatsrelay.amqp.messages import Batch, PendingConfirmation
from beatsrelay.amqp.session import Session, set_result_once
from beatsrelay.routing import Route, parse_route
from beatsrelay.settings import Settings

STEP_SECONDS = 10
TEST_MESSAGE = b'{"message":"a test message of beatsrelay --check"}'
Step = Callable[[], Awaitable[str]]


def parse_route_argument(text: str) -> Route:
    """Parse a route from the command line.

    Raises
    ------
    argparse.ArgumentTypeError
        Raised if the text is not `EXCHANGE/KEY` or `/QUEUE`.
    """
    try:
        return parse_route(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {text}, wanted EXCHANGE/KEY or /QUEUE") from error


async def run_check(settings: Settings, route: Route | None) -> int:
    """Check each host of the broker, and print a line for each step.

    Parameters
    ----------
    route
        Route of the test message. With None, no message is sent.

    Returns
    -------
    int
        Exit status: 0, or 1 if a step of any host failed.
    """
    logging.disable()
    return max([await check_host(settings, host, route) for host in settings.amqp_hosts])


async def check_host(settings: Settings, host: str, route: Route | None) -> int:
    """Run the steps for one host until a step fails. Return the exit status: 0, or 1 if a step failed."""
    session = Session(settings, BatchWriter())
    status = 0
    for name, step in create_steps(session, settings, host, route).items():
        try:
            async with asyncio.timeout(STEP_SECONDS):
                print(f"ok      {host}: {name}: {await step()}")  # noqa: T201
        except (OSError, BrokerError) as error:
            print(f"FAILED  {host}: {name}: {format_failure(error)}")  # noqa: T201
            status = 1
            break
    await session.close()
    return status


def create_steps(session: Session, settings: Settings, host: str, route: Route | None) -> dict[str, Step]:
    """Return the steps of the check by name. Each step is a function that returns a description of its result."""
    steps: dict[str, Step] = {
        "name resolution": lambda: resolve_host(host, settings.amqp_port),
        "TLS" if settings.amqp_tls else "TCP": lambda: connect(settings, host),
        "login, virtual host, exchange": lambda: open_session(session, host, settings),
    }
    if route:
        steps["a confirmed message"] = lambda: send_test_message(session, route)
    return steps


def format_failure(error: OSError | BrokerError) -> str:
    """Return the reason for a failed step as one line."""
    if isinstance(error, BrokerError):
        return str(error)
    if (
        isinstance(error, TimeoutError) and not error.errno
    ):  # asyncio.timeout raised the error; a TimeoutError of the network has an errno
        return f"no answer within {STEP_SECONDS} s"
    return format_amqp_error(error)


async def resolve_host(host: str, port: int) -> str:
    """Resolve the broker's host name, and return a text with its addresses."""
    results = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return ", ".join(dict.fromkeys(str(address[0]) for *_, address in results))


async def connect(settings: Settings, host: str) -> str:
    """Connect to the broker's port. If TLS is enabled, do the handshake and return the TLS version."""
    context = create_client_context(settings) if settings.amqp_tls else None
    _, writer = await asyncio.open_connection(host, settings.amqp_port, ssl=context)
    tls = writer.get_extra_info("ssl_object")
    writer.close()
    return f"port {settings.amqp_port}" + (f", {tls.version()}, the certificate is trusted" if tls else "")


async def open_session(session: Session, host: str, settings: Settings) -> str:
    """Log in and open a channel in confirm mode, and return the user, virtual host and exchange.

    Raises
    ------
    BrokerError
        Raised if the session cannot be opened.
    """
    try:
        await session.open(host, check_dead_letter=True)
    except BrokerError as error:
        raise BrokerError(str(error).removeprefix(f"{host}: ")) from error
    return f"as {settings.amqp_user} at {settings.amqp_vhost}, {settings.exchange}"


async def send_test_message(session: Session, route: Route) -> str:
    """Publish a message, wait until the broker confirms it, and return its route.

    Raises
    ------
    BrokerError
        Raised if the broker refuses the message, or returns it because no queue is bound for its route.
    """
    failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    session.on_return = lambda _: set_result_once(failure, "no queue receives messages with this route")
    session.on_confirm = lambda _tag, _multiple, accepted: set_result_once(
        failure, "" if accepted else "the broker refused it"
    )
    session.publish(Batch(PendingConfirmation(1, lambda: None), route, [TEST_MESSAGE], range(1)))
    ends: list[asyncio.Future[Any]] = [failure, session.lost]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    reason = failure.result() if failure.done() else session.lost.result().reason
    if reason:
        raise BrokerError(reason)
    return f"to {route.exchange or '(default exchange)'}/{route.key}"

"""Take log events out of a queue of RabbitMQ, and show each on a line: `nox -s read-logs -- QUEUE`.

An example of a consumer: what arrives is `testing/contracts/log-event.json`. An event is gone from the queue when it
has been shown, not before. Where the broker is, the relay's variables say: AMQP_HOST, AMQP_PORT, AMQP_USER,
AMQP_PASSWORD, AMQP_TLS, AMQP_TLS_CA_FILE (docs/admin/forwarder.md).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import pika
from beatsrelay.amqp.connection_parameters import create_connection_parameters
from beatsrelay.amqp.errors import format_amqp_error
from beatsrelay.settings import Settings, SettingsError, load_settings
from pika.exceptions import AMQPError

# At most so many are on their way to us: what is not shown when we end goes back to the queue.
PREFETCH = 500


def look_up(event: dict[str, Any], path: str) -> Any:
    """Give a field of an event by its name with dots; None: it has none."""
    found: Any = event
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def describe(event: dict[str, Any]) -> str:
    """Give the line for a person: when, where, whose, and what."""
    # Who writes a log line does not control the terminal of who reads it.
    message = "".join(sign if sign.isprintable() else " " for sign in str(look_up(event, "message") or ""))
    where = look_up(event, "service.name") or look_up(event, "kubernetes.pod.name")
    user = look_up(event, "user.name") or look_up(event, "user.id")
    parts = [event.get("@timestamp"), where, look_up(event, "log.level"), f"({user})" if user else None, message]
    return " ".join(str(part) for part in parts if part)


def read(settings: Settings, options: argparse.Namespace) -> None:
    """Show what is in the queue, and what comes to it."""
    with pika.BlockingConnection(create_connection_parameters(settings, settings.amqp_hosts[0])) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        for method, _, body in channel.consume(options.queue, inactivity_timeout=1 if options.once else None):
            if method is None or body is None:
                break
            event = json.loads(body)
            if options.user in {None, look_up(event, "user.id")}:
                print(body.decode() if options.json else describe(event), flush=True)
            channel.basic_ack(method.delivery_tag)
        channel.cancel()


def main() -> None:
    """Read until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="nox -s read-logs --", description=__doc__)
    parser.add_argument("queue", help="which is bound to the exchange that the relay publishes to")
    parser.add_argument("--user", metavar="ID", help="show only what has this GitHub id (the others are taken, too)")
    parser.add_argument("--json", action="store_true", help="show events as they arrived")
    parser.add_argument("--once", action="store_true", help="end when the queue has been empty for a second")
    options = parser.parse_args()
    # Of the relay's settings only the way to the broker is used here.
    unused = {"AMQP_EXCHANGE": "unused", "BEATS_TLS": "false"}
    try:
        read(load_settings(unused | dict(os.environ)), options)
    except KeyboardInterrupt:
        return
    except SettingsError as error:
        sys.exit(f"read-logs: {error}")
    except (AMQPError, OSError) as error:
        sys.exit(f"read-logs: cannot read from the broker: {format_amqp_error(error)}")


if __name__ == "__main__":
    main()

"""Read log events from a queue of RabbitMQ, and print each on a line: `nox -s read-logs -- QUEUE`.

This is an example of a consumer. `testing/contracts/log-event.json` describes the events. An event is removed from the
queue after it was printed. The variables of the relay name the broker: AMQP_HOST, AMQP_PORT, AMQP_USER, AMQP_PASSWORD,
AMQP_TLS, AMQP_TLS_CA_FILE (docs/admin/settings.md).
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

# Number of unacknowledged events that RabbitMQ sends at most. When the program ends, the events that it has not printed
# return to the queue.
PREFETCH = 500


def get_field(event: dict[str, Any], path: str) -> Any:
    """Return a field of an event by its name with dots, or None if the event does not have it."""
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def format_event(event: dict[str, Any]) -> str:
    """Return an event as a line: time, source, level, user and message."""
    # Control characters in a log message could control the terminal.
    message = "".join(
        character if character.isprintable() else " " for character in str(get_field(event, "message") or "")
    )
    source = get_field(event, "service.name") or get_field(event, "kubernetes.pod.name")
    user = get_field(event, "user.name") or get_field(event, "user.id")
    parts = [event.get("@timestamp"), source, get_field(event, "log.level"), f"({user})" if user else None, message]
    return " ".join(str(part) for part in parts if part)


def read(settings: Settings, options: argparse.Namespace) -> None:
    """Print the events in the queue, and then each new event."""
    with pika.BlockingConnection(create_connection_parameters(settings, settings.amqp_hosts[0])) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        for method, _, body in channel.consume(options.queue, inactivity_timeout=1 if options.once else None):
            if method is None or body is None:
                break
            event = json.loads(body)
            if options.user in {None, get_field(event, "user.id")}:
                print(body.decode() if options.json else format_event(event), flush=True)
            channel.basic_ack(method.delivery_tag)
        channel.cancel()


def main() -> None:
    """Read and print events until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="nox -s read-logs --", description=__doc__)
    parser.add_argument("queue", help="a queue that is bound to the exchange of the relay")
    parser.add_argument(
        "--user",
        metavar="ID",
        help="print only the events of this GitHub id (the others are removed from the queue, too)",
    )
    parser.add_argument("--json", action="store_true", help="print events as JSON, as they arrived")
    parser.add_argument("--once", action="store_true", help="exit when the queue has been empty for a second")
    options = parser.parse_args()
    # Only the settings of the broker are used here.
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

"""A relay that receives log events from Beats and publishes them to RabbitMQ."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys

from beatsrelay.broker_check import parse_route_argument, run_check
from beatsrelay.logs import configure_logs
from beatsrelay.service import StartError, run_service
from beatsrelay.settings import load_settings_or_exit


def create_parser() -> argparse.ArgumentParser:
    """Return the parser for the command line of `python -m beatsrelay`."""
    parser = argparse.ArgumentParser(prog="beatsrelay", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check whether the relay could publish, and exit")
    parser.add_argument(
        "--route",
        type=parse_route_argument,
        metavar="EXCHANGE/KEY",
        help="with --check: send a test message to this route (/QUEUE: to a queue)",
    )
    return parser


def main() -> None:
    """Run the relay. With `--check`, only check the connection to the broker."""
    arguments = create_parser().parse_args()
    settings = load_settings_or_exit(os.environ)
    configure_logs(settings.log_level)
    if arguments.check:
        sys.exit(asyncio.run(run_check(settings, arguments.route)))
    # All objects that exist now live as long as the process, and events create no reference cycles. So frequent garbage
    # collection would waste CPU time. `freeze` excludes the existing objects, and the threshold makes collections rare.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        asyncio.run(run_service(settings))
    except StartError as error:
        sys.exit(f"beatsrelay: {error}")


if __name__ == "__main__":
    main()

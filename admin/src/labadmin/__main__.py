"""The command `labadmin`, for the administrators of a site.

Exit status: 0 success, 1 an error or a finding, 2 wrong usage, 130 interrupted. The documentation of a command can list
more statuses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import labadmin.configure.command
import labadmin.doctor.command
import labadmin.uninstall.command
from labadmin.checkout import CheckoutError, check_checkout

FAILED, INTERRUPTED = 1, 130


class Command(Protocol):
    """The functions that the module of each command defines."""

    SUMMARY: str
    DESCRIPTION: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the command and return the exit status."""


COMMANDS: Mapping[str, Command] = {
    "configure": labadmin.configure.command,
    "doctor": labadmin.doctor.command,
    "uninstall": labadmin.uninstall.command,
}


def create_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with one subparser per command."""
    parser = argparse.ArgumentParser(
        prog="labadmin",
        description="Commands for the administrators of a site.",
        epilog="COMMAND --help prints the options of a command.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.SUMMARY, description=command.DESCRIPTION))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status.

    Parameters
    ----------
    arguments
        Command line without the program's name. None means `sys.argv`.
    """
    options = create_parser().parse_args(arguments)
    try:
        check_checkout()
        return COMMANDS[options.command].run(options)
    except CheckoutError as error:
        print(f"labadmin: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

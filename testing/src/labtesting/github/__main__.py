"""The program `python -m labtesting.github --port 8090`, a simulated GitHub with sample users."""

from __future__ import annotations

import argparse
import sys

from labtesting.github.sample import ALLOWED_ORGANIZATION, populate
from labtesting.github.server import FakeGitHub
from labtesting.github.world import App, World


def main() -> None:
    """Run the simulated GitHub until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m labtesting.github", description=__doc__)
    parser.add_argument("--port", type=int, default=8090, help="port on 127.0.0.1, 0: a free port (default: 8090)")
    parser.add_argument("--client-id", default="demo", help="client id of the OAuth app (default: demo)")
    parser.add_argument("--client-secret", default="demo-secret", help="secret of the OAuth app (default: demo-secret)")
    parser.add_argument(
        "--callback",
        default="http://127.0.0.1:8000/hub/oauth_callback",
        help="callback URL of the OAuth app, to which users return after the login (default: %(default)s)",
    )
    options = parser.parse_args()
    world = World(App(options.client_id, options.client_secret, options.callback))
    populate(world)
    server = FakeGitHub(world, options.port)
    variables = f"GITHUB_URL={server.url} GITHUB_ORGANIZATION_WHITELIST={ALLOWED_ORGANIZATION}"
    sys.stdout.write(f"The simulated GitHub is ready: {variables}\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()

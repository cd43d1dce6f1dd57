"""Run the stand-in for GitHub by hand, with made-up people: `python -m labtesting.github --port 8090`."""

from __future__ import annotations

import argparse
import sys

from labtesting.github.sample import MEMBERS_OF, populate
from labtesting.github.server import FakeGitHub
from labtesting.github.world import App, World


def main() -> None:
    """Answer until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m labtesting.github", description=__doc__)
    parser.add_argument("--port", type=int, default=8090, help="on 127.0.0.1 (8090; 0: a free one)")
    parser.add_argument("--client-id", default="demo", help="the OAuth app's (demo)")
    parser.add_argument("--client-secret", default="demo-secret", help="the OAuth app's (demo-secret)")
    parser.add_argument("--callback", default="http://127.0.0.1:8000/hub/oauth_callback", help="where it sends people")
    options = parser.parse_args()
    world = World(App(options.client_id, options.client_secret, options.callback))
    populate(world)
    server = FakeGitHub(world, options.port)
    sys.stdout.write(f"GitHub's stand-in: GITHUB_URL={server.url} GITHUB_ORGANIZATION_WHITELIST={MEMBERS_OF}\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()

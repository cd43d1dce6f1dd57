"""A simulated GitHub for tests and the demo: OAuth login, the REST API for users and organizations, and faults.

The simulated GitHub answers like GitHub Enterprise, with the REST API below `/api/v3`. Start it with
`python -m labtesting.github`.
"""

from labtesting.github.server import FakeGitHub, run_fake_github
from labtesting.github.world import Account, Organization, Trouble, World

__all__ = ["Account", "FakeGitHub", "Organization", "Trouble", "World", "run_fake_github"]

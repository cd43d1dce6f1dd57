"""A GitHub to log in with, as real as tests need: OAuth, the REST API's people and organizations, and its troubles.

It answers like GitHub Enterprise, with the REST API below `/api/v3`. By hand: `python -m labtesting.github`.
"""

from labtesting.github.server import FakeGitHub, run_fake_github
from labtesting.github.world import Account, Organization, Trouble, World

__all__ = ["Account", "FakeGitHub", "Organization", "Trouble", "World", "run_fake_github"]

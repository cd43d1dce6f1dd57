"""A program that runs on the NFS client and checks the usual operations of users on homes and project folders.

`python -m fileserver.tests.image.client MOUNT API TOKEN`, started in the checkout, runs all checks. MOUNT is the folder
where the root of the fileserver is mounted. The program prints one line of JSON for each check. Each check runs in a
separate process, as the user and with the groups that its registration names.
"""

# The checks run in the order of these imports. Some checks use files of earlier checks.
from fileserver.tests.image.client import files, locks, programs, permissions, new_homes  # noqa: I001
from fileserver.tests.image.client.registry import CHECKS

__all__ = ["CHECKS", "files", "locks", "new_homes", "permissions", "programs"]

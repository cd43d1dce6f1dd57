"""A program that runs on the NFS client and checks what users do with their homes and project folders.

`python -m fileserver.tests.image.client MOUNT API TOKEN`, started in the checkout, runs all checks. MOUNT is the folder
where the root of the fileserver is mounted. The program prints one line of JSON for each check. Each check runs in its
own process, with the user and the groups with which it is registered.
"""

# The checks run in this order. Some use files of earlier checks.
from fileserver.tests.image.client import files, locks, programs, permissions, new_homes  # noqa: I001
from fileserver.tests.image.client.registry import CHECKS

__all__ = ["CHECKS", "files", "locks", "new_homes", "permissions", "programs"]

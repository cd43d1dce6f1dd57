"""What users do with their homes, one check each: a program for the machine with the NFS client.

`python -m fileserver.tests.image.client MOUNT API TOKEN`, in the checkout, runs all checks on the fileserver's root
mounted at MOUNT. It prints one line of JSON for each check. Each check is a process of its own, as the user and with
the groups that it names.
"""

# In this order the checks run: later ones use what earlier ones created.
from fileserver.tests.image.client import files, locks, programs, permissions, new_homes  # noqa: I001
from fileserver.tests.image.client.registry import CHECKS

__all__ = ["CHECKS", "files", "locks", "new_homes", "permissions", "programs"]

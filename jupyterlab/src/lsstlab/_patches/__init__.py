"""Patches: every override of upstream code that is not a documented hook, one module per patched project.

Each module names the versions that were tested. With another version the patches are not applied, the project keeps
its own behaviour, and the lab logs one warning for the project. docs/dev/lab-patches.md has the measured gain of each
patch, and the upstream change that would make it unnecessary.
"""

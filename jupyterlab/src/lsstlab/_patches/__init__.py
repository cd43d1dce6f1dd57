"""Patches of upstream code, with one module for each patched project.

A patch is an override for which the project documents no hook. Each module names the tested versions of its project.
With another version, the lab does not apply the patches of the module, and logs one warning. docs/dev/lab-patches.md
has the measured gain of each patch, and the upstream change that would make the patch unnecessary.
"""

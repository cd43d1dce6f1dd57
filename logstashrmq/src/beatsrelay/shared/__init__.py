"""Code that the Python components share: log lines, secrets, version guards, HTTP servers and probes.

`docker build <component>` sees the component's folder only, so each of these components has a copy of the modules that
it uses. Edit the modules here, then run `nox -s lint -- --fix`, which writes the copies. `nox -s lint` fails if a copy
differs. docs/dev/shared-code.md explains the choice.
"""

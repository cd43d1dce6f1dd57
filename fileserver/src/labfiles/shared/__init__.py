"""Code that every component uses: log lines, secrets, HTTP servers and probes.

`docker build <component>` sees the component's folder only, so each component has a copy of this package. Edit it here,
then run `nox -s lint -- --fix`, which writes the copies. `nox -s lint` fails if a copy differs. docs/dev/shared-code.md
explains the choice.
"""

"""Code that several components share: log lines, secrets, version guards, HTTP servers and probes.

`docker build` can read only files in the folder of one component. So the folder of each component contains copies of
the modules that the component uses. Edit a module in the folder `shared/` of the repository, and run
`nox -s lint -- --fix`, which writes the copies. `nox -s lint` fails if a copy differs. docs/dev/shared-code.md has the
reasons.
"""

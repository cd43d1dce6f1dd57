"""A program that prints, as bash, the environment that `loadLSST.bash` and `setup lsst_distrib` create.

    python -m lsstlab.stack_snapshot STACK [EXTRA]

The set-up of the full stack takes seconds, with the same result each time. So the LSST_Stack kernel sources the output
of this program instead. EXTRA is a folder that the program adds at the end of PYTHONPATH.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

BASE_PATH = "/usr/local/bin:/usr/bin:/bin"
# Variables that are not recorded, because they belong to the shell or to the session in which the program runs
EXCLUDED = {"HOME", "PWD", "OLDPWD", "SHLVL", "_", "TERM", "LC_ALL", "LSST_KERNEL_PYTHON"}
# Search paths. The kernel gets the entries of the stack, followed by those of the user's session.
SEARCH_PATHS = {"LD_LIBRARY_PATH", "MANPATH", "PKG_CONFIG_PATH", "PYTHONPATH"}
END_OF_ENVIRONMENT = b"\0--functions--\0"
SCRIPT = """
. "$1/loadLSST.bash" >&2 && setup lsst_distrib >&2 || exit
LSST_KERNEL_PYTHON=$(command -v python) env -0
printf '\\0--functions--\\0'
declare -f
declare -Fx
"""


class SnapshotError(Exception):
    """A stack that cannot be set up. The message has the output of the set-up."""


def record_environment(stack: Path, home: str) -> tuple[dict[str, str], str]:
    """Set up the stack in an empty environment. Return its variables and, as bash, its functions.

    Raises
    ------
    SnapshotError
        Raised if the set-up fails.
    """
    done = subprocess.run(
        ["/bin/bash", "--norc", "--noprofile", "-c", SCRIPT, "snapshot", str(stack)],
        env={"PATH": BASE_PATH, "HOME": home, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    variables, separator, functions = done.stdout.partition(END_OF_ENVIRONMENT)
    if done.returncode or not separator:
        output = done.stderr.decode(errors="replace").strip()
        raise SnapshotError(f"{stack}: loadLSST.bash or `setup lsst_distrib` failed: {output}")
    pairs = (entry.decode().partition("=") for entry in variables.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}, functions.decode()


def format_export(name: str, value: str, home: str) -> str:
    """Return the line that exports a variable, relative to the PATH and HOME of the shell that runs it."""
    text = "'" + value.replace("'", "'\\''").replace(home, "'\"$HOME\"'") + "'"
    if name == "PATH":
        text = text.replace(BASE_PATH, "'\"$PATH\"'")
    elif name in SEARCH_PATHS:
        text += f"${{{name}:+:${name}}}"
    return f"export {name}={text}"


def format_script(variables: dict[str, str], functions: str, home: str) -> str:
    """Return the snapshot as a script that bash can source."""
    lines = [
        format_export(name, value, home)
        for name, value in sorted(variables.items())
        if name not in EXCLUDED and not name.startswith("BASH_FUNC_")
    ]
    # The kernel runs on this Python even if `.user_setups` puts another one first in the PATH.
    python = variables["LSST_KERNEL_PYTHON"]
    functions = re.sub(r"^declare -fx (\S+)$", r"export -f \1", functions, flags=re.MULTILINE)
    return "\n".join([f"lsst_kernel_python='{python}'", *lines, functions])


def main() -> None:
    """Print the snapshot of the stack that the command line names."""
    stack, *extra = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        try:
            variables, functions = record_environment(Path(stack), home)
        except SnapshotError as error:
            sys.exit(f"snapshot: {error}")
        if extra:
            variables["PYTHONPATH"] = ":".join(filter(None, [variables.get("PYTHONPATH"), *extra]))
        sys.stdout.write(format_script(variables, functions, home))


if __name__ == "__main__":
    main()

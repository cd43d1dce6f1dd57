"""A program that prints the environment of the LSST stack as a bash script.

    python -m lsstlab.stack_snapshot STACK [EXTRA]

STACK is the folder of the stack. The commands `loadLSST.bash` and `setup lsst_distrib` create the environment. With the
full stack they take seconds, and the result is always the same. So the LSST_Stack kernel sources the output of this
program instead of running the commands. The program adds the folder EXTRA at the end of PYTHONPATH.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

BASE_PATH = "/usr/local/bin:/usr/bin:/bin"
# Variables that the program does not print, because their values belong to the shell in which the program runs
EXCLUDED = {"HOME", "PWD", "OLDPWD", "SHLVL", "_", "TERM", "LC_ALL", "LSST_KERNEL_PYTHON"}
# Variables with search paths. In the kernel, the folders of the stack come first, and then the folders that the
# variable has in the user's session.
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
    """A failed set-up of the stack. The message contains the output of the failed commands."""


def record_environment(stack: Path, home: str) -> tuple[dict[str, str], str]:
    """Set up the stack in a new shell. Return the environment variables and the functions of the shell.

    The functions are returned as bash code. The values of variables can contain the folder `home`, which is the HOME of
    the new shell.

    Raises
    ------
    SnapshotError
        Raised if `loadLSST.bash` or `setup lsst_distrib` fails.
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
    """Return the line of bash that exports a variable.

    The line contains `$HOME` and `$PATH` instead of the HOME and PATH of the recorded shell. So a kernel that sources
    the line uses the values of its own session.
    """
    text = "'" + value.replace("'", "'\\''").replace(home, "'\"$HOME\"'") + "'"
    if name == "PATH":
        text = text.replace(BASE_PATH, "'\"$PATH\"'")
    elif name in SEARCH_PATHS:
        text += f"${{{name}:+:${name}}}"
    return f"export {name}={text}"


def format_script(variables: dict[str, str], functions: str, home: str) -> str:
    """Return a bash script that sets the recorded variables and defines the recorded functions."""
    lines = [
        format_export(name, value, home)
        for name, value in sorted(variables.items())
        if name not in EXCLUDED and not name.startswith("BASH_FUNC_")
    ]
    # The kernel runs on the stack's Python, even if the user's file `.user_setups` changes the PATH.
    python = variables["LSST_KERNEL_PYTHON"]
    functions = re.sub(r"^declare -fx (\S+)$", r"export -f \1", functions, flags=re.MULTILINE)
    return "\n".join([f"lsst_kernel_python='{python}'", *lines, functions])


def main() -> None:
    """Print the bash script for the stack that the command line names. Exit with an error if the set-up fails."""
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

"""Our NFS server next to one with Ganesha's defaults, and to the bare disk: `nox -s "bench(fileserver)"`.

Both servers are the image (`nox -s "build(fileserver)"`, a Docker engine), on volumes of one disk; the client is the
real one (NFS_CLIENT), with the mount options of our PersistentVolume. What the client has in its memory is dropped
before each step; what the server has is not. The bare disk is the same folder, worked on in the server's container.
Rounds of the three alternate; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from labtesting.container import Container, run_container
from labtesting.hub_process import wait_until
from labtesting.nfs import run_on_client

from benchmarks.storage import work
from fileserver.tests.image.conftest import PYTHON, server_options, volume_of
from tools.components import image_name, version

WORK = Path(work.__file__)
# What Ganesha needs to start in such a container, and no more.
DEFAULTS = """
NFS_CORE_PARAM { Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false; Allow_Set_Io_Flusher_Fail = true; }
NFSV4 { RecoveryBackend = fs; RecoveryRoot = /storage/recovery; }
EXPORT { Export_Id = 1; Path = /storage/home; Pseudo = /home; Protocols = 4; Transports = TCP; SecType = sys;
         Access_Type = RW; Squash = Root_Squash; FSAL { Name = VFS; } }
"""
START = (
    "from pathlib import Path; from labfiles.storage import prepare_storage; prepare_storage(Path('/storage'));"
    "import os, sys; Path('/tmp/ganesha.conf').write_text(sys.argv[1]);"
    "command = '-F -f /tmp/ganesha.conf -L /dev/stdout -p /tmp/pid'.split();"
    "os.execv('/usr/bin/ganesha.nfsd', ['ganesha.nfsd', *command])"
)
OURS, DEFAULT, BARE = "ours", "Ganesha's defaults", "the bare disk"
Seconds = dict[str, float]


@contextmanager
def run_server(image: str, configuration: str | None) -> Iterator[Container]:
    """Run a server on a volume of its own: ours, or with another configuration."""
    with volume_of() as volume:
        options = server_options(image, volume)
        if configuration is not None:
            options |= {"entrypoint": [PYTHON, "-c", START, configuration]}
        with run_container(**options) as server:
            wait_until(lambda: "NFS SERVER INITIALIZED" in server.log(), "Ganesha is up", 30)
            # Root is nobody there.
            for command in (["/bin/mkdir", "/storage/home/5000"], ["/bin/chmod", "777", "/storage/home/5000"]):
                status, said = server.execute(*command)
                if status:
                    raise RuntimeError(f"{command}: {said}")
            yield server


def by_nfs(server: Container, log: Path) -> Seconds:
    """Work through NFS."""
    command = ["env", "FORGET=1", sys.executable, str(WORK), "/mnt/5000"]
    with run_on_client(f"{server.address}:/home", *command, log=log) as client:
        said = client.finish(300)
    return read(said)


def bare(server: Container) -> Seconds:
    """Work on the same folder in the server's container."""
    status, said = server.execute(PYTHON, "-c", WORK.read_text(), "/storage/home/5000")
    if status:
        raise RuntimeError(f"the work failed: {said}")
    return read(said)


def read(said: str) -> Seconds:
    """Read what the work says."""
    found: Seconds = json.loads(said.splitlines()[-1])
    return found


def amount(step: str, seconds: float) -> str:
    """Give a speed as people read it."""
    if step.startswith("large"):
        return f"{work.MEGABYTES / seconds:.0f} MB/s"
    return f"{(work.FILES // 4 if step.endswith('saved') else work.FILES) / seconds:.0f} files/s"


def show(rounds: dict[str, list[Seconds]]) -> None:
    """Print the medians, and their ratios."""
    steps = list(rounds[OURS][0])
    median = {
        name: {step: statistics.median(one[step] for one in runs) for step in steps} for name, runs in rounds.items()
    }
    print(f"{'':24}{OURS:>16}{DEFAULT:>22}{BARE:>18}{'ours / defaults':>18}{'ours / bare':>14}")
    for step in steps:
        speeds = [amount(step, median[name][step]) for name in (OURS, DEFAULT, BARE)]
        ratios = [median[name][step] / median[OURS][step] for name in (DEFAULT, BARE)]
        print(f"{step:24}{speeds[0]:>16}{speeds[1]:>22}{speeds[2]:>18}{ratios[0]:>18.2f}{ratios[1]:>14.2f}")


def main() -> None:
    """Measure the three in turn."""
    parser = argparse.ArgumentParser(prog='nox -s "bench(fileserver)" --', description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each (%(default)s)")
    parser.add_argument("--image", default=f"{image_name('fileserver')}:{version()}", help="(%(default)s)")
    parser.add_argument("--configuration", type=Path, help="another file in the place of Ganesha's defaults")
    options = parser.parse_args()
    other = options.configuration.read_text() if options.configuration else DEFAULTS
    rounds: dict[str, list[Seconds]] = {OURS: [], DEFAULT: [], BARE: []}
    # What the servers and the client log is of interest where something fails, and stands in the error.
    with redirect_stdout(StringIO()), ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        ours = stack.enter_context(run_server(options.image, None))
        default = stack.enter_context(run_server(options.image, other))
        log = Path(folder) / "log"
        work_by = {
            OURS: lambda: by_nfs(ours, log),
            DEFAULT: lambda: by_nfs(default, log),
            BARE: lambda: bare(ours),
        }
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            # In turn, so that each comes after each: what one leaves to be written back slows down the next.
            for name in (*rounds, *rounds)[number % 3 : number % 3 + 3]:
                rounds[name].append(work_by[name]())
    show(rounds)


if __name__ == "__main__":
    main()

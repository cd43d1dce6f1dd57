"""Benchmark of our NFS server against Ganesha's defaults and a disk without NFS: `nox -s "bench(fileserver)"`.

Both servers run from the image (`nox -s "build(fileserver)"`, needs a Docker engine) on volumes of the same disk. The
client is the NFS client of Linux (NFS_CLIENT), with the mount options of our PersistentVolume. The benchmark drops the
client's cache before each step, but not the server's cache. For the bare disk, the same workload runs in the container
of our server. The three measurements alternate, and the table has medians.
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
# The minimal configuration with which Ganesha starts in the container.
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
    """Run a fileserver on a new volume, with this configuration of Ganesha. None means our configuration."""
    with volume_of() as volume:
        options = server_options(image, volume)
        if configuration is not None:
            options |= {"entrypoint": [PYTHON, "-c", START, configuration]}
        with run_container(**options) as server:
            wait_until(lambda: "NFS SERVER INITIALIZED" in server.log(), "Ganesha is up", 30)
            # The server maps the client's root to another user (Root_Squash), so the client cannot create this folder.
            for command in (["/bin/mkdir", "/storage/home/5000"], ["/bin/chmod", "777", "/storage/home/5000"]):
                status, output = server.execute(*command)
                if status:
                    raise RuntimeError(f"{' '.join(command)} failed in the server's container: {output}")
            yield server


def by_nfs(server: Container, log: Path) -> Seconds:
    """Run the workload on the NFS client, and return the time of each step."""
    command = ["env", "FORGET=1", sys.executable, str(WORK), "/mnt/5000"]
    with run_on_client(f"{server.address}:/home", *command, log=log) as client:
        output = client.finish(300)
    return parse_times(output)


def bare(server: Container) -> Seconds:
    """Run the workload without NFS in the server's container, and return the time of each step."""
    status, output = server.execute(PYTHON, "-c", WORK.read_text(), "/storage/home/5000")
    if status:
        raise RuntimeError(f"the workload failed in the server's container: {output}")
    return parse_times(output)


def parse_times(output: str) -> Seconds:
    """Return the time of each step, which is in the last line of the workload's output."""
    times: Seconds = json.loads(output.splitlines()[-1])
    return times


def format_speed(step: str, seconds: float) -> str:
    """Return the text for a step's speed, in MB/s or files/s."""
    if "large" in step:
        return f"{work.MEGABYTES / seconds:.0f} MB/s"
    return f"{(work.SAVED_FILES if 'rename' in step else work.FILES) / seconds:.0f} files/s"


def show(rounds: dict[str, list[Seconds]]) -> None:
    """Print the median speed of each step, and the ratios of our server to Ganesha's defaults and to the bare disk."""
    steps = list(rounds[OURS][0])
    median = {
        name: {step: statistics.median(times[step] for times in runs) for step in steps}
        for name, runs in rounds.items()
    }
    print(f"{'':36}{OURS:>16}{DEFAULT:>22}{BARE:>18}{'ours / defaults':>18}{'ours / bare':>14}")
    for step in steps:
        speeds = [format_speed(step, median[name][step]) for name in (OURS, DEFAULT, BARE)]
        ratios = [median[name][step] / median[OURS][step] for name in (DEFAULT, BARE)]
        print(f"{step:36}{speeds[0]:>16}{speeds[1]:>22}{speeds[2]:>18}{ratios[0]:>18.2f}{ratios[1]:>14.2f}")


def main() -> None:
    """Measure our server, Ganesha's defaults and the bare disk alternately, and print the table."""
    parser = argparse.ArgumentParser(prog='nox -s "bench(fileserver)" --', description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (%(default)s)")
    parser.add_argument(
        "--image", default=f"{image_name('fileserver')}:{version()}", help="image of the fileserver (%(default)s)"
    )
    parser.add_argument("--configuration", type=Path, help="file with another configuration to compare with")
    options = parser.parse_args()
    other = options.configuration.read_text() if options.configuration else DEFAULTS
    rounds: dict[str, list[Seconds]] = {OURS: [], DEFAULT: [], BARE: []}
    # `run_container` and `run_on_client` print logs. Discard these, because the error of a failed step contains its
    # log.
    with redirect_stdout(StringIO()), ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        ours = stack.enter_context(run_server(options.image, None))
        default = stack.enter_context(run_server(options.image, other))
        log = Path(folder) / "log"
        measure = {
            OURS: lambda: by_nfs(ours, log),
            DEFAULT: lambda: by_nfs(default, log),
            BARE: lambda: bare(ours),
        }
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            # Rotate the order of the three measurements, because pending writes of a measurement slow down the next
            # one.
            for name in (*rounds, *rounds)[number % 3 : number % 3 + 3]:
                rounds[name].append(measure[name]())
    show(rounds)


if __name__ == "__main__":
    main()

"""Configuration of IPython: the history, a SQLite file, is not in the home, because SQLite can corrupt files on NFS."""

import os

if "LAB_SCRATCH" in os.environ:
    get_config().HistoryManager.hist_file = os.path.join(  # noqa: F821  (traitlets defines it)
        os.environ["LAB_SCRATCH"], "ipython_history.sqlite"
    )

"""Keep IPython's history, a SQLite file, off the home directory: SQLite on NFS corrupts."""

import os

if "LAB_SCRATCH" in os.environ:
    get_config().HistoryManager.hist_file = os.path.join(  # noqa: F821  (traitlets gives it to the file)
        os.environ["LAB_SCRATCH"], "ipython_history.sqlite"
    )

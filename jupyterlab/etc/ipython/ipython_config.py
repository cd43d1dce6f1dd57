"""The configuration of IPython: the history is in the scratch folder.

The history is a SQLite file. In the home, it could become corrupt, because the home can be on NFS.
"""

import os

if "LAB_SCRATCH" in os.environ:
    get_config().HistoryManager.hist_file = os.path.join(  # noqa: F821  (traitlets defines it)
        os.environ["LAB_SCRATCH"], "ipython_history.sqlite"
    )

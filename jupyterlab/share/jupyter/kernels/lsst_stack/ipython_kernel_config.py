"""The configuration of the LSST_Stack kernel. IPython reads this file in addition to the user's configuration."""

import os

c = get_config()  # noqa: F821  (traitlets defines it)

if "LAB_SCRATCH" in os.environ:  # the history is a SQLite file, which can become corrupt in a home on NFS
    c.HistoryManager.hist_file = os.path.join(os.environ["LAB_SCRATCH"], "ipython_history.sqlite")

if "LSST_USER_SETUPS_FAILED" in os.environ:
    # JupyterLab shows only output that a cell has printed. So the kernel prints the message when the first cell runs.
    c.InteractiveShellApp.exec_lines = [
        """
def _show_failed_user_setups(info, shell=get_ipython()):
    import os, sys
    if info.store_history:
        shell.events.unregister("pre_run_cell", _show_failed_user_setups)
        print(os.environ["LSST_USER_SETUPS_FAILED"], file=sys.stderr)
get_ipython().events.register("pre_run_cell", _show_failed_user_setups)
"""
    ]

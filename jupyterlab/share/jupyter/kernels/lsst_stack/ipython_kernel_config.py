"""The LSST_Stack kernel's own configuration, read in addition to the user's."""

import os

c = get_config()  # noqa: F821  (traitlets gives it to the file)

if "LAB_SCRATCH" in os.environ:  # SQLite on NFS corrupts
    c.HistoryManager.hist_file = os.path.join(os.environ["LAB_SCRATCH"], "ipython_history.sqlite")

if "LSST_USER_SETUPS_FAILED" in os.environ:
    # What a kernel prints before a cell runs belongs to no cell and is shown nowhere.
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

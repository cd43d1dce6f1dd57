"""Entry point of `python -m labhub`."""

import gc
import sys

# The objects that the imports create stay. `LabHub.check_labs` turns collection on.
gc.disable()

from labhub.app import main  # noqa: E402

main(sys.argv[1:])

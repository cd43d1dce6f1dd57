"""Entry point of `python -m labhub`."""

import gc
import sys

# Turn off garbage collection during the imports, because the imported objects stay in memory. `LabHub.check_labs` turns
# garbage collection on again.
gc.disable()

from labhub.app import main  # noqa: E402

main(sys.argv[1:])

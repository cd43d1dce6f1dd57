"""`python -m labhub`: runs the hub."""

import gc
import sys

gc.disable()  # until `LabHub.check_labs`: all objects that the imports create stay

from labhub.app import main  # noqa: E402

main(sys.argv[1:])

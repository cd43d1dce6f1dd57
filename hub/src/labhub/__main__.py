"""`python -m labhub`: the hub."""

import gc

from labhub._patches.lazily import load_lazily

gc.disable()  # until the hub is up (`LabHub.start`): of what it loads and takes up nothing goes
load_lazily()

from labhub.app import main  # noqa: E402  (which loads the client)

main()

"""`python -m labhub`: the hub."""

from labhub.lazily import load_lazily

load_lazily()

from labhub.app import main  # noqa: E402  (which loads the client)

main()

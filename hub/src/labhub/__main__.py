"""`python -m labhub`: the hub."""

from labhub.app import main

main()

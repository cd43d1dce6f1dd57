"""What holds for every lab, of whichever user, spawned or alone."""

from lsstlab.server import configure

configure(get_config())  # noqa: F821  (traitlets gives it to the file)

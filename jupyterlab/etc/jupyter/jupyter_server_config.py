"""The configuration file of Jupyter Server in every lab, spawned or standalone."""

from lsstlab.server_config import configure

configure(get_config())  # noqa: F821  (traitlets defines it)

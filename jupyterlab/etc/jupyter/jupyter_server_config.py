"""The configuration file of Jupyter Server, in labs that a hub has spawned and in standalone labs."""

from lsstlab.server_config import configure

configure(get_config())  # noqa: F821  (traitlets defines it)

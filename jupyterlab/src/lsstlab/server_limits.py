"""The limits of a lab's server and of a standalone hub. docs/dev/limits.md compares them with the defaults."""

from __future__ import annotations

# Output of a cell: 10 MB of text and 10,000 outputs at once, then one tenth of that per second. JupyterLab shows 10 MB
# in 7 s and 20 MB in 32 s. With 50 MB, the page blocks.
TEXT_BYTES_PER_SECOND = 1_000_000
OUTPUTS_PER_SECOND = 1000
BURST_SECONDS = 10
# Maximum size in bytes of a message from the page to a kernel, for example a file in an upload widget. Tornado's
# default is 10 MiB. For a short time, the lab needs six times as much memory as the message.
MESSAGE_MAX = 64 * 1024**2
# Maximum size in bytes of the body of a request, the same as in nginx (NGINX_MAX_BODY) and as Jupyter Server's default.
# To save a notebook, the lab needs seven times its size for a short time. JupyterLab uploads files in pieces of 1 MB.
BODY_MAX = 512 * 1024**2
# Maximum size in bytes of all headers of a request. With Tornado's default, 64 KiB, the proxy would accept larger
# headers than the lab, and Tornado would close the connection without an answer.
HEADERS_MAX = 128 * 1024

"""The limits of a lab's server and of a standalone hub. docs/dev/limits.md compares them with the defaults."""

from __future__ import annotations

# Output of a cell: 10 MB of text and 10,000 outputs at once, then one tenth of that per second. JupyterLab shows 10 MB
# in 7 s and 20 MB in 32 s. With 50 MB, the page blocks.
TEXT_BYTES_PER_SECOND = 1_000_000
OUTPUTS_PER_SECOND = 1000
BURST_SECONDS = 10
# Bytes of a message from the page to a kernel, for example of a file in an upload widget. Tornado's limit is 10 MiB.
# The lab needs six times as much memory for a moment.
MESSAGE_MAX = 64 * 1024**2
# Bytes of the body of a request, as much as nginx lets pass (NGINX_MAX_BODY). Jupyter Server has the same default.
# Saving a notebook needs seven times its size for a moment. JupyterLab uploads files in pieces of 1 MB.
BODY_MAX = 512 * 1024**2
# Bytes of all headers of a request. Tornado's 64 KiB would be less than the proxy accepts, and Tornado closes the
# connection without an answer.
HEADERS_MAX = 128 * 1024

"""The limits of a lab's Jupyter Server and of a standalone lab's hub.

docs/dev/limits.md compares the limits with the defaults of Jupyter Server and Tornado.
"""

from __future__ import annotations

# A cell can print 10 MB of text and 10,000 outputs at once, and then 1 MB and 1,000 outputs per second. JupyterLab
# needs 7 s to show 10 MB and 32 s to show 20 MB. With 50 MB, the page blocks.
TEXT_BYTES_PER_SECOND = 1_000_000
OUTPUTS_PER_SECOND = 1000
BURST_SECONDS = 10
# Maximum size in bytes of a message from the page to a kernel. For example, an upload widget sends a whole file in one
# message. Tornado's default is 10 MiB. For a short time, the lab needs memory of six times the size of the message.
MESSAGE_MAX = 64 * 1024**2
# Maximum size in bytes of the body of a request. nginx (NGINX_MAX_BODY) and Jupyter Server have the same default. While
# the lab saves a notebook, it needs memory of seven times the notebook's size. JupyterLab uploads files in pieces of 1
# MB.
BODY_MAX = 512 * 1024**2
# Maximum size in bytes of all headers of a request. The proxy accepts headers of up to 96 KiB. With Tornado's default,
# 64 KiB, Tornado would close the connection without an answer if the headers were larger.
HEADERS_MAX = 128 * 1024

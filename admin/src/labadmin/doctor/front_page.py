"""Requests for the front page from this machine, with the DNS name and TLS checks of a browser."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from urllib.parse import urlsplit

from labadmin.kubectl import Answer
from labadmin.objects import NAMESPACE, Objects, look_up

SECONDS = 5
PATH = "/hub/health"


def list_addresses(objects: Objects) -> list[str]:
    """Return the external addresses of nginx's Service."""
    service = objects.find("Service", "nginx", NAMESPACE)
    given = look_up(service, "status", "loadBalancer", "ingress", default=[])
    addresses = [str(entry.get("ip") or entry.get("hostname")) for entry in given]
    return addresses + list(look_up(service, "spec", "externalIPs", default=[]))


def request_health(host: str, port: int, name: str, *, trusting: bool = False) -> dict[str, object]:
    """Request the health page over TLS. Return the status, or the error.

    If this machine does not trust the certificate, the request is repeated without verification, and `untrusted` in the
    result has the reason.
    """
    context = ssl.create_default_context()
    if trusting:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            connection = http.client.HTTPConnection(name, port, timeout=SECONDS)
            connection.sock = tls
            connection.request("GET", PATH)
            return {"status": connection.getresponse().status}
    except ssl.SSLCertVerificationError as error:
        return request_health(host, port, name, trusting=True) | {"untrusted": error.verify_message}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "error": str(error) or type(error).__name__}


def request_front_page(callback: str, objects: Objects) -> Answer:
    """Request the page at the site's DNS name. If that fails, try the external addresses of the Service nginx."""
    began = time.time()
    parts = urlsplit(callback)
    name, port = parts.hostname or "", parts.port or 443
    tried = {name: request_health(name, port, name)}
    if not tried[name]["status"]:
        tried |= {address: request_health(address, 443, name) for address in list_addresses(objects)}
    return Answer(0, json.dumps(tried), "", began, time.time())

"""Errors of requests to the Kubernetes API: the types of exceptions, and the texts in error responses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiException

# Exceptions of a request to the Kubernetes API: the API refuses the request or is unavailable, or the connection breaks
API_ERRORS = (ApiException, aiohttp.ClientError, OSError, TimeoutError, asyncio.TimeoutError)


def format_api_error(error: BaseException) -> str:
    """Return an exception of a request to the Kubernetes API as one line of text."""
    text = f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read_status(body: str) -> dict[str, Any]:
    """Return the `Status` object in the body of an error response, or {} if the body is not a JSON object."""
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def read_message(body: str) -> str:
    """Return the message in the body of an error response.

    If the body is not JSON, for example if a proxy has sent an HTML page, return the whole body.
    """
    return str(read_status(body).get("message", body))

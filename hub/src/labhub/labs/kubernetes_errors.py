"""Errors of the Kubernetes API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiException

# The exceptions that are raised if the API refuses a request or is unavailable, or if the connection breaks
API_ERRORS = (ApiException, aiohttp.ClientError, OSError, TimeoutError, asyncio.TimeoutError)


def format_api_error(error: BaseException) -> str:
    """Return an error of the API as one line of text."""
    text = f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read_status(body: str) -> dict[str, Any]:
    """Parse the API's `Status` object from an error response. Return {} if the body is not a JSON object."""
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def read_message(body: str) -> str:
    """Return the message of an error response, or the whole body if it is not JSON, for example a proxy's page."""
    return str(read_status(body).get("message", body))

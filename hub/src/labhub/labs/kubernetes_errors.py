"""Errors of the Kubernetes API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiException

# Raised if the API refuses a request, is unavailable, or if the connection breaks
API_ERRORS = (ApiException, aiohttp.ClientError, OSError, TimeoutError, asyncio.TimeoutError)


def format_api_error(error: BaseException) -> str:
    """Return an error of the API as one line."""
    text = f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read_status(body: str) -> dict[str, Any]:
    """Return the API's `Status` object in the body of an error response, or an empty one if a proxy has answered."""
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def read_message(body: str) -> str:
    """Return the message in the body of an error response. The body is JSON unless a proxy has answered."""
    return str(read_status(body).get("message", body))

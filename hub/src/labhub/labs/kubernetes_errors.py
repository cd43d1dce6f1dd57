"""Errors of the Kubernetes API."""

from __future__ import annotations

import asyncio
import json

import aiohttp
from kubernetes_asyncio.client import ApiException

# Raised if the API refuses a request, is away, or if the connection breaks
API_ERRORS = (ApiException, aiohttp.ClientError, OSError, TimeoutError, asyncio.TimeoutError)


def format_api_error(error: BaseException) -> str:
    """Return an error of the API as one line."""
    text = f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read_message(body: str) -> str:
    """Return the message in the body of an error response. The body is JSON unless a proxy has answered."""
    try:
        return str(json.loads(body)["message"])
    except (TypeError, ValueError, KeyError):
        return body

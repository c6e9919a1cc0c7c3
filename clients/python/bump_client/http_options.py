"""What both HTTP clients are opened with, and what each attempt gives them to send."""

from typing import Any

import httpx2

from bump_client.attempts import Attempts
from bump_client.calls import Request

DEFAULT_ADDRESS = "http://127.0.0.1:8000"
DEADLINE_SECONDS = 30.0
_CONNECT_SECONDS = 5.0


def client_options(base_url: str, api_key: str | None) -> dict[str, Any]:
    """Raises ValueError for what is no address."""
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"`base_url` must begin with http:// or https://, not {base_url!r}")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"base_url": base_url, "headers": headers}


def send_options(request: Request, attempts: Attempts) -> dict[str, Any]:
    """No silence may outlast the call, in a stream neither."""
    seconds = attempts.seconds_left
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query or None,
        "content": request.body,
        "headers": request.headers,
        "timeout": httpx2.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
    }

"""`bump serve`: the API under uvicorn."""

import os
import tempfile
from math import ceil

import uvicorn
from fastapi import FastAPI

from service.api.draining import LAST_WORDS_SECONDS
from service.api.http_protocol import HttpProtocol
from service.commands.settings import read_settings
from service.config import Settings
from service.errors import ConfigurationError
from service.telemetry import configure_logging

LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}
_METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"


def serve(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serve until a signal. Raises ConfigurationError when that would be unsafe."""
    if settings.auth == "loopback" and host not in LOOPBACK_HOSTS:
        raise ConfigurationError(
            f"BUMP_AUTH=loopback serves calls without a key, so it cannot bind {host}: "
            "use BUMP_AUTH=keys and `bump keys create`."
        )
    if workers > 1:
        # prometheus_client reads it once, when it is imported in each process.
        os.environ.setdefault(_METRICS_DIR, tempfile.mkdtemp(prefix="bump-metrics-"))
    uvicorn.run(
        "service.commands.serve:application",
        factory=True,
        http=HttpProtocol,
        ws="none",
        host=host,
        port=port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=ceil(settings.drain_timeout) + LAST_WORDS_SECONDS,
        timeout_keep_alive=settings.client_timeout,
    )


def application() -> FastAPI:
    """The application as each server process makes it, from the environment."""
    settings = read_settings()
    configure_logging(settings.log_level, "api")
    from service.api.app import create_app

    return create_app(settings, multiprocess=_METRICS_DIR in os.environ)

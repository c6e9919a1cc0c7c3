"""`bump worker`: regenerate profiles until a signal, then drain."""

import asyncio
import signal
import sys

import structlog
import uvloop
from prometheus_client import start_http_server

from service.config import Settings
from service.runtime import open_generator, open_runtime
from service.telemetry import configure_logging
from service.worker import Worker, WorkerPolicy

_SWITCH_SECONDS = 0.0005


def work(settings: Settings) -> None:
    configure_logging(settings.log_level, "worker")
    # A generator that computes on a thread holds the interpreter for a whole interval whenever
    # the event loop wakes; at Python's 5 ms every database answer would wait that long.
    sys.setswitchinterval(_SWITCH_SECONDS)
    if settings.metrics_port is not None:
        start_http_server(settings.metrics_port, addr=settings.metrics_host)
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    runtime = await open_runtime(settings)
    try:
        generator = open_generator(settings)
        policy = worker_policy(settings)
        await run_until_signal(Worker(runtime.database, runtime.cache, generator, policy))
    finally:
        await runtime.close()


async def run_until_signal(worker: Worker) -> None:
    """Work until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    structlog.get_logger().info("worker_started")
    await worker.run(stop)
    structlog.get_logger().info("worker_stopped")


def worker_policy(settings: Settings) -> WorkerPolicy:
    return WorkerPolicy(
        batch=settings.worker_batch,
        concurrency=settings.worker_concurrency,
        poll=settings.worker_poll,
        lease=settings.lease,
        debounce=settings.debounce,
        max_delay=settings.max_delay,
        max_attempts=settings.max_attempts,
        backoff=settings.backoff,
        history_limit=settings.history_limit,
        drain_timeout=settings.drain_timeout,
    )

"""Starts a real vLLM server on the CPU with a tiny model, for tests of what talks to an LLM."""

import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx2

MODEL_NAME = "tiny"
# How many clients leave before a test says that nobody noticed. A model as tiny as this one at
# times says more than vLLM's front end can take in, which then sees nothing else, a closed
# connection included, until the answer has ended by itself.
LEAVERS = 8

_ROOT = Path(__file__).parents[1]
_ENVIRONMENT = _ROOT / ".venv-vllm"
_PYTHON = _ENVIRONMENT / "bin" / "python"
_MODEL_SCRIPT = Path(__file__).with_name("vllm_model.py")

_START_SECONDS = 300
_STOP_SECONDS = 30
_LOG_TAIL_BYTES = 4_000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

# Small as the model is, vLLM compiles it and reserves memory for it as if it were large.
_SERVER_OPTIONS = (
    "--enforce-eager",
    "--dtype=float32",
    "--max-num-seqs=16",
    "--scheduling-policy=priority",
    # Training loads adapters while the server runs.
    "--enable-lora",
    "--max-lora-rank=8",
    "--max-loras=2",
    # Random weights may otherwise fill a JSON answer with white space up to the token limit.
    '--structured-outputs-config={"backend": "xgrammar", "disable_any_whitespace": true}',
)
_SERVER_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


class VllmNotStarted(Exception):
    """The server ended or stayed silent; the message holds the end of its log."""


def vllm_unavailable_reason() -> str | None:
    """Why no vLLM server can run here, or None if one can."""
    reason = _ENVIRONMENT / "UNAVAILABLE"
    if reason.exists():
        return reason.read_text().strip()
    if not (_ENVIRONMENT / "lock.sha256").exists():
        return "vLLM is not installed: run `make install-vllm`"
    return None


class VllmServer:
    """A server of one model, named `MODEL_NAME`; it keeps its port from one start to the next.

    Without `model` it is the tiny one. A start takes about 30 s and 3 GB. The server ends with this
    process.
    """

    def __init__(self, log: IO[bytes], model: Path | None = None) -> None:
        self._model = model
        self._port = _free_port()
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its OpenAI-compatible base URL, ending in /v1."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Returns when it is healthy.

        Raises VllmNotStarted, or CalledProcessError if the model cannot be built.
        """
        self._process = _start(self._model or tiny_model(), self._port, self._log)
        _await_health(self._process, f"http://127.0.0.1:{self._port}/health", self._log)

    def kill(self) -> None:
        """`kill -9`, engine and all."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        assert self._process
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def vllm_server(model: Path | None = None) -> Iterator[VllmServer]:
    """A server that has started; raises like `VllmServer.start`."""
    with tempfile.TemporaryFile() as log:
        server = VllmServer(log, model)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def tiny_model() -> Path:
    """The folder of the model that the server serves.

    Built once for every version of the script; a build that was cut short is not found.
    """
    version = hashlib.sha256(_MODEL_SCRIPT.read_bytes()).hexdigest()[:12]
    model = _ENVIRONMENT / "models" / version
    if model.exists():
        return model
    model.parent.mkdir(exist_ok=True)
    build = Path(tempfile.mkdtemp(dir=model.parent))
    subprocess.run([_PYTHON, "-P", _MODEL_SCRIPT, build], check=True, capture_output=True)
    return build.rename(model)


def _start(model: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(_PYTHON, "-P", "-m", "vllm.entrypoints.openai.api_server", *_SERVER_OPTIONS),
            *(f"--model={model}", f"--served-model-name={MODEL_NAME}"),
            *("--host=127.0.0.1", f"--port={port}"),
        ],
        env={**os.environ, **_SERVER_ENVIRONMENT},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _await_health(server: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx2.Client(timeout=5, trust_env=False) as client:
        while time.monotonic() < deadline:
            if server.poll() is not None:
                raise VllmNotStarted(f"exit status {server.returncode}:\n{_tail(log)}")
            if _is_healthy(client, url):
                return
            time.sleep(0.25)
    raise VllmNotStarted(f"not healthy after {_START_SECONDS} s:\n{_tail(log)}")


def _is_healthy(client: httpx2.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx2.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _tail(log: IO[bytes]) -> str:
    size = os.fstat(log.fileno()).st_size
    tail = os.pread(log.fileno(), _LOG_TAIL_BYTES, max(0, size - _LOG_TAIL_BYTES))
    return tail.decode(errors="replace")

"""Which model answers behind `bump up`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from service.commands.chosen_model import model_environment
from service.errors import ConfigurationError
from tests.faults.processes import free_port


@contextmanager
def endpoint(*models: str) -> Iterator[str]:
    """The base URL of a server that lists `models`."""
    body = json.dumps({"data": [{"id": model} for model in models]}).encode()

    class Listed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def test_nothing_asked_for_leaves_it_to_the_settings() -> None:
    assert model_environment(None, None, "http://127.0.0.1:8001/v1") == {}


def test_bump_mini_answers_where_nothing_is_named() -> None:
    assert model_environment(None, None, None) == {
        "BUMP_DOWNSTREAM_URL": "local:bump-mini",
        "BUMP_DOWNSTREAM_MODEL": "bump-mini",
    }


def test_the_only_model_of_an_endpoint_need_not_be_named() -> None:
    with endpoint("qwen3") as url:
        chosen = model_environment(url, None, None)
    assert chosen == {"BUMP_DOWNSTREAM_URL": url, "BUMP_DOWNSTREAM_MODEL": "qwen3"}


def test_one_of_several_models_must_be_named() -> None:
    with endpoint("small", "large") as url:
        with pytest.raises(ConfigurationError, match=r"small, large\): choose one with --model"):
            model_environment(url, None, None)
        assert model_environment(url, "large", None)["BUMP_DOWNSTREAM_MODEL"] == "large"


def test_an_endpoint_that_is_not_there_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="Is it running"):
        model_environment(f"http://127.0.0.1:{free_port()}/v1", None, None)


def test_a_model_of_a_folder_goes_by_the_folders_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    chosen = model_environment(None, str(folder), None)
    assert chosen == {
        "BUMP_DOWNSTREAM_URL": f"local:{folder}",
        "BUMP_DOWNSTREAM_MODEL": "my-model",
    }

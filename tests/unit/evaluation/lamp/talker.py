"""A chat model behind real HTTP on 127.0.0.1, which says what a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A request's body → status and what the model says.
Say = Callable[[dict[str, Any]], tuple[int, str]]


class Talker:
    """`asked` holds the bodies of all requests, in the order in which they came."""

    def __init__(self, say: Say) -> None:
        self.asked: list[dict[str, Any]] = []
        self.say = say
        self.url = ""

    def prompts(self) -> list[str]:
        return ["\n".join(m["content"] for m in body["messages"]) for body in self.asked]


@contextmanager
def talking(say: Say) -> Iterator[Talker]:
    talker = Talker(say)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            talker.asked.append(body)
            status, text = talker.say(body)
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 40, "completion_tokens": 2}
            answer = json.dumps({"choices": [choice], "usage": usage}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: the log of a test is for the test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    talker.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield talker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

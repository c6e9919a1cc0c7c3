"""Opens a local model by its name, as `BUMP_DOWNSTREAM_URL=local:NAME` gives it."""

from collections.abc import Callable
from dataclasses import dataclass

from service.errors import ConfigurationError
from service.llm.local.engine import Engine
from service.llm.local.hub import load_pretrained
from service.llm.local.mini import BUMP_MINI, load_bump_mini
from service.llm.local.transport import LocalTransport

LOCAL_SCHEME = "local:"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that answers through `transport`; its window in tokens, and how it counts them."""

    transport: LocalTransport
    context: int
    count: Callable[[str], int]


def local_name(url: str) -> str | None:
    """The model that `url` names, where it is of this process."""
    return url.removeprefix(LOCAL_SCHEME) if url.startswith(LOCAL_SCHEME) else None


def open_local(name: str) -> LocalModel:
    """`bump-mini`, or what transformers finds under `name`: a folder, or a model of the hub.

    Raises ConfigurationError where that cannot be loaded.
    """
    if not name:
        raise ConfigurationError(f"{LOCAL_SCHEME} names no model: write {LOCAL_SCHEME}{BUMP_MINI}.")
    decoder, tokenizer = load_bump_mini() if name == BUMP_MINI else load_pretrained(name)
    engine = Engine(decoder, tokenizer.end_of_turn)
    return LocalModel(LocalTransport(name, engine, tokenizer), engine.context, tokenizer.count)

"""bump-mini's files: those that were released, or none at all. Its card lies beside them."""

import hashlib
import json
from pathlib import Path

from safetensors.numpy import load
from tokenizers import Tokenizer

from service.errors import ConfigurationError
from service.llm.local.decoder import Decoder, Shape
from service.llm.local.tokens import ChatTokenizer

BUMP_MINI = "bump-mini"
FILES = Path(__file__).with_name("bump_mini")
_WEIGHTS = "model.safetensors"


def load_bump_mini(folder: Path = FILES) -> tuple[Decoder, ChatTokenizer]:
    """Raises ConfigurationError where a file is not the one whose SHA-256 `card.json` gives."""
    try:
        card = json.loads((folder / "card.json").read_bytes())
        data = {name: (folder / name).read_bytes() for name in card["sha256"]}
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"bump-mini needs {error.filename}, which is not there: install bump-service again."
        ) from error
    for name, digest in card["sha256"].items():
        if hashlib.sha256(data[name]).hexdigest() != digest:
            raise ConfigurationError(
                f"{folder / name} is not the file that was released: install bump-service again."
            )
    decoder = Decoder(Shape.of_config(json.loads(data["config.json"])), load(data[_WEIGHTS]))
    return decoder, ChatTokenizer(Tokenizer.from_str(data["tokenizer.json"].decode()))

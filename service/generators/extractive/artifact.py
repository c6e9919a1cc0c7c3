"""A trained policy as files: `weights.json`, beside a card that says what it was trained on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from service.errors import ConfigurationError
from service.generators.extractive.policy import CONTEXTS, FEATURES, SHAPE, Floats

WEIGHTS_FILE = "weights.json"
CARD_FILE = "README.md"
# The one that comes with the project.
SHIPPED = Path(__file__).with_name("trained")

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """`sha256` (64 hex digits) of the file that holds the weights (contexts, features)."""

    weights: Floats
    sha256: str


def read_policy(folder: Path) -> TrainedPolicy:
    """Raises ConfigurationError where there is none, or one of another version's features."""
    try:
        content = (folder / WEIGHTS_FILE).read_bytes()
        document = orjson.loads(content)
        known = (document["format"], document["contexts"], document["features"])
        weights = np.array(document["weights"], np.float32)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{folder} holds no trained policy ({type(error).__name__}: {error}): give a folder "
            f"that `bump train extractive` wrote, with {WEIGHTS_FILE} in it."
        ) from error
    if known != (_FORMAT, list(CONTEXTS), list(FEATURES)) or weights.shape != SHAPE:
        raise ConfigurationError(
            f"The policy in {folder} goes by other features than this version: train it again."
        )
    weights.flags.writeable = False
    return TrainedPolicy(weights, hashlib.sha256(content).hexdigest())


def write_policy(folder: Path, weights: Floats) -> str:
    """Write `weights` (contexts, features) to `folder`; the SHA-256 of the file, in hex."""
    document = {
        "format": _FORMAT,
        "contexts": CONTEXTS,
        "features": FEATURES,
        "weights": [[round(float(weight), 4) for weight in row] for row in weights],
    }
    content = orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()

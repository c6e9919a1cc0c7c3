"""What a finished training leaves beside its weights: a card that says where they come from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

_TRAINING_LIBRARIES = ("bump-service", "numpy", "torch", "transformers", "trl", "peft")
_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Card:
    """A model card. `curve`: (step, mean reward). `settings`: all that the run was told.

    `users` are digests, so that nobody is named and yet the gate can tell whom the training saw.
    """

    name: str
    base: str
    data: str
    users: tuple[str, ...]
    seed: int
    judge: str
    curve: tuple[tuple[int, float], ...]
    settings: Mapping[str, Any]
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DownstreamCard:
    """Of a model that answers. `origin`: what its demonstrations were made of. `users` as above.
    `too_long`: demonstrations that were left out. `curve`: (step, loss)."""

    base: str
    origin: Mapping[str, Any]
    users: tuple[str, ...]
    too_long: int
    curve: tuple[tuple[int, float], ...]
    settings: Mapping[str, Any]


def user_digests(user_ids: Iterable[str]) -> tuple[str, ...]:
    """16 hex digits for each user, sorted."""
    return tuple(
        sorted(hashlib.blake2b(u.encode(), digest_size=_DIGEST_BYTES).hexdigest() for u in user_ids)
    )


def write_card(folder: Path, artifact: str, card: Card) -> str:
    """`card.json` and `README.md` into `folder`; the SHA-256 of the `artifact` in it, as hex."""
    digest = _write_document(folder, artifact, card)
    (folder / "README.md").write_text(_readme(card, artifact, digest))
    return digest


def write_downstream_card(folder: Path, artifact: str, card: DownstreamCard) -> str:
    """The same for a model that answers."""
    digest = _write_document(folder, artifact, card)
    (folder / "README.md").write_text(_downstream_readme(card, artifact, digest))
    return digest


def _write_document(folder: Path, artifact: str, card: Card | DownstreamCard) -> str:
    digest = hashlib.sha256((folder / artifact).read_bytes()).hexdigest()
    document = {
        **asdict(card),
        "artifact": artifact,
        "sha256": digest,
        "versions": _versions(_TRAINING_LIBRARIES),
    }
    (folder / "card.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return digest


def _versions(distributions: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _readme(card: Card, artifact: str, digest: str) -> str:
    first, last = (card.curve[0], card.curve[-1]) if card.curve else ((0, 0.0), (0, 0.0))
    return f"""\
---
base_model: {card.base}
tags: [bump, user-profiles]
---
# {card.name}

Writes user profiles. Trained by the BUMP reward (arXiv 2606.05336), without labels.

| | |
|---|---|
| base | `{card.base}` |
| data | {card.data}, {len(card.users)} users |
| judge | {card.judge} |
| seed | {card.seed} |
| reward | {first[1]:.3f} at step {first[0]}, {last[1]:.3f} at step {last[0]} |
| `{artifact}` | SHA-256 `{digest}` |

`card.json` holds the whole curve, all settings, the versions of the libraries, and digests of the
users that were trained on: whoever measures this model must take others, and another judge.
"""


def _downstream_readme(card: DownstreamCard, artifact: str, digest: str) -> str:
    task, method = card.origin["task"], card.origin["method"]
    return f"""\
---
base_model: {card.base}
tags: [bump, lamp]
---
# {card.base} on {task}, method {method}

Answers questions of {task}, asked as `bump lamp --methods {method}` asks them. Fine-tuned on the
golds of the train split.

| | |
|---|---|
| base | `{card.base}` |
| demonstrations | {len(card.users)}, and {card.too_long} left out as too long |
| `{artifact}` | SHA-256 `{digest}` |

`card.json` holds the curve, all settings, the versions of the libraries, what the demonstrations
were made of, and digests of the samples: whoever measures this model must take others.
"""

"""What an evaluation has finished, kept in a directory, so that one that was killed goes on."""

import hashlib
import os
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import orjson

import service
from service.bump.batch import Example, Negatives
from service.bump.reward import Reward
from service.bump.setting import Setting
from service.evaluation.bidirectional import UserResult
from service.evaluation.preparation import Batch


class Kept:
    """Profiles one by one, scores when all of a generator under a judge are there.

    Keys are digests of everything that the kept part depends on, the code included, so a
    directory can serve any number of evaluations. Without a directory nothing is kept.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def profiles(self, key: str) -> dict[str, str]:
        """Texts by user id. A last line that was cut short is forgotten, and gone afterwards."""
        path = self._path(key, "profiles.jsonl")
        if path is None or not path.exists():
            return {}
        *whole, cut = path.read_bytes().split(b"\n")
        if cut:
            _replace(path, b"".join(line + b"\n" for line in whole))
        return {line["user_id"]: line["text"] for line in map(orjson.loads, whole)}

    def add_profile(self, key: str, user_id: str, text: str) -> None:
        path = self._path(key, "profiles.jsonl")
        if path is not None:
            with path.open("ab") as file:
                file.write(orjson.dumps({"user_id": user_id, "text": text}) + b"\n")

    def results(self, key: str) -> list[UserResult] | None:
        path = self._path(key, "results.json")
        if path is None or not path.exists():
            return None
        return [_result(document) for document in orjson.loads(path.read_bytes())]

    def add_results(self, key: str, results: list[UserResult]) -> None:
        path = self._path(key, "results.json")
        if path is not None:
            _replace(path, orjson.dumps([asdict(result) for result in results]))

    def _path(self, key: str, ending: str) -> Path | None:
        return self._directory / f"{key}.{ending}" if self._directory else None


def batch_digest(batch: Batch, setting: Setting, *, seed: int) -> str:
    """Of everything that is asked: the users, what is read and ranked, and against what."""
    digest = hashlib.sha256(f"{code_digest()}:{seed}:{setting}".encode())
    for example in batch.examples:
        digest.update(_bytes(example))
        digest.update(_bytes(batch.negatives[example.user_id]))
    return digest.hexdigest()


def part_digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


@cache
def code_digest() -> str:
    """Of the service's own sources: what another version would have scored is not taken over."""
    root = Path(service.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _bytes(part: Example | Negatives) -> bytes:
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)


def _result(document: dict[str, Any]) -> UserResult:
    return UserResult(**{**document, "reward": Reward(**document["reward"])})


def _replace(path: Path, content: bytes) -> None:
    """All of it or nothing, whenever the process ends."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)

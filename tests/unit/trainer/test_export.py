"""A card says where the weights come from, and can be checked against them."""

import json
from hashlib import sha256
from pathlib import Path

from service.trainer.export import Card, user_digests, write_card


def test_the_card_holds_the_digest_the_curve_and_the_users_without_their_names(
    tmp_path: Path,
) -> None:
    (tmp_path / "weights").write_bytes(b"numbers")
    card = Card(
        name="LLM policy on notes.jsonl",
        base="tiny",
        data="notes.jsonl",
        users=user_digests(["ben", "ana"]),
        seed=7,
        judge="lexical",
        curve=((1, 1.25), (2, 1.5)),
        settings={"training": {"steps": 2}},
    )
    write_card(tmp_path, "weights", card)
    told = json.loads((tmp_path / "card.json").read_text())
    assert told["sha256"] == sha256(b"numbers").hexdigest()
    assert told["curve"] == [[1, 1.25], [2, 1.5]]
    assert told["users"] == list(user_digests(["ana", "ben"]))
    assert "ana" not in json.dumps(told)
    assert told["versions"]["bump-service"]
    readme = (tmp_path / "README.md").read_text()
    assert "1.250 at step 1, 1.500 at step 2" in readme
    assert told["sha256"] in readme

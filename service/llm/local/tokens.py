"""Chats as token ids, and token ids as text while it grows."""

from collections.abc import Mapping, Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

END_OF_TURN = "<|im_end|>"
_START_OF_TURN = "<|im_start|>"
_SPOKEN = ("user", "assistant")


class ChatTokenizer:
    """`tokenizer` with bump-mini's chat template, in which system messages have no place."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        start, end, line = (self._ids(text) for text in (_START_OF_TURN, END_OF_TURN, "\n"))
        self._start, self._end, self._line = start, end, line
        (self.end_of_turn,) = end

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The ids of a chat whose next turn is the model's.

        What stands in a message is text: the markers of turns in it are no markers.
        """
        ids: list[int] = []
        for message in messages:
            if message["role"] in _SPOKEN:
                ids += self._turn(message["role"], message["content"]) + self._end + self._line
        return ids + self._turn("assistant", "")

    def count(self, text: str) -> int:
        return len(self._ids(text))

    def growing_text(self) -> "GrowingText":
        return GrowingText(self._tokenizer)

    def _turn(self, role: str, text: str) -> list[int]:
        plain = self._tokenizer.encode(f"{role}\n{_unmarked(text)}", add_special_tokens=False)
        return [*self._start, *plain.ids]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


class GrowingText:
    """The text of tokens that come one by one; a character of several tokens comes whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)

    def add(self, token: int) -> str:
        """What the token completes, which may be nothing."""
        return self._stream.step(self._tokenizer, token) or ""


def _unmarked(text: str) -> str:
    return text.replace("<|", "< |")

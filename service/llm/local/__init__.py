"""Language models in this process: bump-mini in numpy, or any other through transformers.

A model is reached like one behind HTTP: `transport` answers the requests of a client for
`/chat/completions`, so that whoever asks (`client`, `downstream`) does not know the difference.

`decoder` computes logits, `tokens` turns chats into token ids and ids into text, `sampling` picks,
`engine` keeps all open answers going in batches, `transport` speaks OpenAI's protocol. `mini` is
bump-mini and its files, `hub` whatever transformers can load.
"""

from service.llm.local.mini import BUMP_MINI
from service.llm.local.opening import LOCAL_SCHEME, LocalModel, local_name, open_local
from service.llm.local.transport import LOCAL_URL

__all__ = ["BUMP_MINI", "LOCAL_SCHEME", "LOCAL_URL", "LocalModel", "local_name", "open_local"]

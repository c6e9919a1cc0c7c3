"""Puts a trained bump-mini where the service finds it: 16-bit weights, a card with their hashes.

    python -m examples.bump_mini.release --model FOLDER

The folder that it writes, `service/llm/local/bump_mini`, is one that transformers and vLLM load.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch
from transformers import Qwen2ForCausalLM

from examples.bump_mini.batches import BATCH_TOKENS
from examples.bump_mini.training import SEED
from service import __version__
from service.llm.local.mini import FILES

_CARD = "README.md"  # by model_card.py
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def main() -> None:
    folder = _arguments().model
    shutil.rmtree(FILES, ignore_errors=True)
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float16)
    model.save_pretrained(FILES)
    # safetensors writes for its owner alone, and a service mostly runs as another.
    (FILES / "model.safetensors").chmod(0o644)
    for name in (*_TOKENIZER, _CARD):
        shutil.copy(folder / name, FILES / name)
    losses = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    card = {
        "name": "bump-mini",
        "license": "Apache-2.0",
        "parameters": model.num_parameters(),
        "trained_by": f"examples/bump_mini of bump {__version__}",
        "seed": SEED,
        "tokens": {row["stage"]: row["tokens"] for row in losses} | {"a_step": BATCH_TOKENS},
        "last_loss": losses[-1]["loss"],
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(FILES.iterdir())
            if path.name != _CARD
        },
    }
    (FILES / "card.json").write_text(json.dumps(card, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="what training.py wrote")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Writes a tiny chat model of random weights that vLLM loads at once: a real server, no download.

Runs inside `.venv-vllm`, where torch and transformers live: `python tests/vllm_model.py DIRECTORY`.
What it says is noise; its tokenizer, chat template, log probabilities and structured output are
real. The seed is fixed, so equal prompts get equal greedy answers.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

CONTEXT_TOKENS = 8_192
VOCABULARY = 1_024
SEED = 7
END_OF_TEXT, START_OF_TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}"""

# The kind of text that prompts and profiles hold; with so few words the byte-pair merges need
# repetition, so every subject is put into every sentence.
SUBJECTS = (
    "long walks along the river", "recipes without meat", "science fiction from the seventies",
    "trains and timetables", "database performance", "open source software", "chamber music",
    "watercolour painting", "football on Sunday evenings", "gardening in small spaces",
    "documentary films", "machine learning papers", "board games with friends",
)  # fmt: skip
SENTENCES = (
    "The user often writes about {}.",
    "They asked a question about {} and rated the answer five stars.",
    "You are a helpful assistant. Answer with what you know about {} in mind.",
    "Interested in {}; prefers short answers with examples.",
    "Recently more active in the morning, mostly on {}, and less on weekends.",
    '{{"statements": [{{"text": "Enjoys {}.", "evidence": [1, 2, 3]}}]}}',
    "Which of these interactions comes next for somebody who likes {}?",
)


def make_tiny_model(directory: Path) -> None:
    """Write config, weights (about 0.5 MB) and tokenizer of a two-layer Qwen2 to `directory`."""
    tokenizer = train_tokenizer()
    torch.manual_seed(SEED)
    # vLLM's CPU attention supports head sizes from 32 up.
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(END_OF_TURN),
        pad_token_id=tokenizer.convert_tokens_to_ids(END_OF_TEXT),
    )
    model = Qwen2ForCausalLM(config)
    _end_only_when_nothing_else_may_follow(model, config.eos_token_id)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _end_only_when_nothing_else_may_follow(model: Qwen2ForCausalLM, end: int) -> None:
    """Random weights would end a turn by chance; tests need answers as long as they ask for.

    One dimension of the residual stream is made large and equal for every token, and only the end
    of the turn is scored by it, very low. Guided decoding can still end where it must.
    """
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 0.2
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[end, 0] = -10.0


def train_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE, so that every text has tokens and none is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, START_OF_TURN, END_OF_TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = [sentence.format(subject) for sentence in SENTENCES for subject in SUBJECTS]
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_TOKENS,
    )


if __name__ == "__main__":
    make_tiny_model(Path(sys.argv[1]))

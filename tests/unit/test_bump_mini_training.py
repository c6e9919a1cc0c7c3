"""How bump-mini begins: with heads that copy."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from examples.bump_mini.batches import copies, padded, rows_of  # noqa: E402
from examples.bump_mini.corpus import Example  # noqa: E402
from examples.bump_mini.induction import plant_induction  # noqa: E402
from examples.bump_mini.language_model import make_model, train_tokenizer  # noqa: E402
from service.domain.prompts import Message  # noqa: E402

TEXTS = ["What should I bake in May? A dark loaf of rye. 12 or 34"] * 20


def copied(planted: bool) -> float:
    """The share of repeated random tokens that an untrained model foretells."""
    model = make_model(train_tokenizer(TEXTS, 600), seed=3)
    if planted:
        plant_induction(model, seed=3)
    batch = next(copies(model.config.vocab_size, seed=5, rows=8))
    with torch.no_grad():
        told = model(batch.ids[:, :-1]).logits.argmax(-1)
    expected = batch.targets[:, 1:]
    return float((told == expected)[expected >= 0].float().mean())


def test_a_model_with_planted_heads_copies_before_any_training() -> None:
    assert copied(planted=True) > 0.2 > 0.02 > copied(planted=False)


def test_only_answers_are_learnt() -> None:
    tokenizer = train_tokenizer(TEXTS, 600)
    later = (("In May?", "A loaf."),)
    example = Example((Message("user", "What should I bake?"),), "A dark loaf of rye.", later=later)
    (row,) = rows_of(tokenizer, [example])
    batch = padded([row], length=128, pad=tokenizer.pad_token_id)
    learnt = batch.targets[0][batch.targets[0] >= 0]
    assert tokenizer.decode(learnt) == "A dark loaf of rye.<|im_end|>A loaf.<|im_end|>"


def test_every_answer_counts_the_same_however_long_it_is() -> None:
    tokenizer = train_tokenizer(TEXTS, 600)
    later = (("In May?", "A loaf."),)
    example = Example((Message("user", "What should I bake?"),), "A dark loaf of rye.", later=later)
    (row,) = rows_of(tokenizer, [example])
    batch = padded([row], length=128, pad=tokenizer.pad_token_id)
    counted = [batch.weights[0, start:end].sum().item() for start, end in row.answers]
    assert counted == pytest.approx([1.0, 1.0])
    assert batch.weights.sum().item() == pytest.approx(2.0)


def test_of_a_copy_only_what_came_before_is_to_be_learnt() -> None:
    batch = next(copies(600, seed=1, rows=4))
    for ids, targets in zip(batch.ids.tolist(), batch.targets.tolist(), strict=True):
        learnt = [place for place, target in enumerate(targets) if target >= 0]
        assert learnt and all(ids[place] in ids[:place] for place in learnt)

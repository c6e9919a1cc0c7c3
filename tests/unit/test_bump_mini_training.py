"""How bump-mini is trained: from heads that copy, on trees of requests to one profile."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from transformers import PreTrainedTokenizerFast  # noqa: E402

from examples.bump_mini.batches import attention_mask, copies, padded, rows_of  # noqa: E402
from examples.bump_mini.corpus import Example  # noqa: E402
from examples.bump_mini.domains import domains  # noqa: E402
from examples.bump_mini.induction import plant_induction  # noqa: E402
from examples.bump_mini.language_model import make_model, train_tokenizer  # noqa: E402
from examples.bump_mini.people import Person, Taste  # noqa: E402
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
    learnt = batch.weights[:, 1:] > 0
    return float((told == batch.ids[:, 1:])[learnt].float().mean())


def test_a_model_with_planted_heads_copies_before_any_training() -> None:
    assert copied(planted=True) > 0.2 > 0.02 > copied(planted=False)


PROFILE = "<user_profile>\nLikes rye.\n</user_profile>\n\n"
RYE = Person((Taste(domains()[0], ("rye",), None),))


def asked(request: str, answer: str, person: Person | None = None) -> Example:
    return Example((Message("user", PROFILE + request),), answer, request, person=person)


TWO = [asked("What should I bake?", "A dark loaf of rye.", RYE), asked("In May?", "A loaf.")]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, 600)


def test_a_profile_stands_once_before_all_its_requests(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    (row,) = rows_of(tokenizer, [TWO], length=384)
    text = tokenizer.decode(row.ids)
    assert text.count("Likes rye.") == 1
    assert text.count("<|im_end|>") == 4
    assert set(row.branches) == {0, 1, 2}


def test_a_request_is_read_as_if_it_were_the_only_one(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = make_model(tokenizer, seed=3).eval()
    rows = rows_of(tokenizer, [TWO, TWO[1:]], length=384)
    together, alone = (padded([row], len(row.ids), tokenizer.pad_token_id) for row in rows)
    with torch.no_grad():
        found = [
            model(
                batch.ids,
                position_ids=batch.positions,
                attention_mask=attention_mask(batch.branches).float(),
            ).logits
            for batch in (together, alone)
        ]
    answers = [logits[0, slice(*row.answers[-1])] for logits, row in zip(found, rows, strict=True)]
    torch.testing.assert_close(*answers)


def test_branches_that_do_not_fit_are_left_out(tokenizer: PreTrainedTokenizerFast) -> None:
    (whole,) = rows_of(tokenizer, [TWO], length=384)
    (row,) = rows_of(tokenizer, [TWO], length=len(whole.ids) - 1)
    assert len(row.answers) == 1


def test_every_answer_counts_the_same_however_long_it_is(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    (row,) = rows_of(tokenizer, [TWO], length=384)
    assert [sum(row.weights[slice(*place)]) for place in row.answers] == pytest.approx([1, 1])


def test_of_an_answer_the_interests_count_most(tokenizer: PreTrainedTokenizerFast) -> None:
    (row,) = rows_of(tokenizer, [TWO[:1]], length=384)
    start, end = row.answers[0]
    heavy = [place for place in range(start, end) if row.weights[place] == max(row.weights)]
    assert tokenizer.decode([row.ids[place] for place in heavy]).strip() == "rye"


def test_what_comes_first_in_a_branch_is_not_foretold_from_the_branch_before(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    (row,) = rows_of(tokenizer, [TWO], length=384)
    firsts = [row.branches.index(number) for number in (1, 2)]
    assert [row.weights[first] for first in firsts] == [0, 0]


def test_of_a_copy_only_what_came_before_is_to_be_learnt() -> None:
    batch = next(copies(600, seed=1, rows=4))
    for ids, weights in zip(batch.ids.tolist(), batch.weights.tolist(), strict=True):
        learnt = [place for place, weight in enumerate(weights) if weight]
        assert learnt and all(ids[place] in ids[:place] for place in learnt)

"""What a model is asked: LaMP's words, the profile where the service puts it, all within budget."""

from dataclasses import replace

import pytest

from service.domain.placement import assemble
from service.domain.prompts import Message, count_tokens, safe_statements
from service.domain.tokens import estimate_tokens
from service.evaluation.lamp.asking import Asking, CountingTokenizer, Room
from service.evaluation.lamp.methods import parse
from service.evaluation.lamp.tasks import TASKS, Sample
from tests.unit.evaluation.lamp.files import QUESTIONS
from tests.unit.evaluation.lamp.histories import sample

ROOM = Room(context=8_192, profile=400, entries=4_096)
HISTORY = [(f"Kettle {n}", n % 5 + 1) for n in range(30)]


def asking(task: str = "LaMP_3", **room: int) -> Asking:
    return Asking(TASKS[task], CountingTokenizer(), estimate_tokens, replace(ROOM, **room))


def text(method: str, *statements: str, asked: Asking | None = None) -> str:
    messages = (asked or asking()).messages(sample(HISTORY), parse(method), statements)
    return "\n".join(str(message.content) for message in messages)


def test_without_personalisation_the_question_alone_is_asked() -> None:
    messages = asking().messages(sample(HISTORY), parse("none"), ())
    assert messages == (Message("user", QUESTIONS["LaMP_3"]),)


def test_the_newest_entries_come_first() -> None:
    found = text("last-2")
    assert found.startswith('5 is the score for "Kettle 29" , and 4 is the score for "Kettle 28"')
    assert found.endswith(QUESTIONS["LaMP_3"])


def test_similar_entries_are_those_of_bm25() -> None:
    history = [("A kettle that whistles", 2), ("Soap", 5), ("Rope", 5), ("Bread", 4)]
    (message,) = asking().messages(sample(history), parse("bm25-1"), ())
    assert str(message.content).startswith('2 is the score for "A kettle that whistles"')


def test_a_full_history_takes_as_many_entries_as_fit() -> None:
    assert text("full-history").count("is the score for") == len(HISTORY)
    tight = text("full-history", asked=asking(entries=300))
    assert 3 < tight.count("is the score for") < len(HISTORY)
    assert "Kettle 29" in tight and "Kettle 0" not in tight


def test_a_profile_stands_where_the_service_puts_it() -> None:
    question = (Message("user", QUESTIONS["LaMP_3"]),)
    served = assemble(
        question,
        safe_statements(["Likes tea."]),
        messages_tokens=count_tokens(question),
        profile_budget=ROOM.profile,
    )
    found = asking().messages(sample(HISTORY), parse("extractive"), ("Likes tea.",))
    assert found == served.messages
    assert "<user_profile>\nLikes tea.\n</user_profile>" in str(found[1].content)


def test_a_profile_and_entries_stand_together() -> None:
    found = text("extractive+last-1", "Likes tea.")
    assert found.index("Likes tea.") < found.index("Kettle 29") < found.index("What is the score")


def test_who_has_no_profile_is_asked_the_question_alone() -> None:
    assert text("llm") == text("none")


@pytest.mark.parametrize("method", ["none", "last-4", "full-history", "extractive+bm25-4"])
@pytest.mark.parametrize("context", [600, 900, 8_192])
def test_a_prompt_and_its_answer_fit_into_the_context(method: str, context: int) -> None:
    long = Sample("1", f"{QUESTIONS['LaMP_4']} {'rain and wind ' * 3_000}", ())
    asked = asking("LaMP_4", context=context)
    prompt = asked.messages(long, parse(method), ("Likes rain.",) * 8)
    assert count_tokens(prompt) + asked.sampling.max_tokens <= context


def test_answers_are_greedy_and_as_long_as_the_task_needs() -> None:
    sampling = asking("LaMP_7").sampling
    assert (sampling.temperature, sampling.max_tokens) == (0.0, 128)
    assert asking("LaMP_3").sampling.max_tokens == 16


def test_a_text_is_cut_to_the_longest_beginning_that_fits() -> None:
    tokenizer = CountingTokenizer(len)
    assert tokenizer.truncate("kettle", 4) == ("kett", 4)
    assert tokenizer.truncate("kettle", 6) == ("kettle", 6)
    assert tokenizer.truncate("kettle", 0) == ("", 0)

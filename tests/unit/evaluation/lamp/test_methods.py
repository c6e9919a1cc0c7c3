"""The names of LaMP's rows, and what each of them shows to a model."""

import pytest

from service.evaluation.lamp.methods import WITH_MODEL, Choice, Method, UnknownMethod, parse


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("none", (None, None, None)),
        ("last-4", (None, Choice.NEWEST, 4)),
        ("bm25-1", (None, Choice.SIMILAR, 1)),
        ("full-history", (None, Choice.NEWEST, None)),
        ("pag", ("pag", None, None)),
        ("llm:bump-trained", ("llm:bump-trained", None, None)),
        ("extractive-trained+bm25-4", ("extractive-trained", Choice.SIMILAR, 4)),
        ("llm:a+full-history", ("llm:a", Choice.NEWEST, None)),
    ],
)
def test_a_name_says_what_is_shown(name: str, shown: tuple[str, Choice, int]) -> None:
    assert parse(name) == Method(name, *shown)


@pytest.mark.parametrize("name", WITH_MODEL)
def test_every_row_of_the_standard_set_has_a_name(name: str) -> None:
    assert parse(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "oracle", "bm25", "bm25-0", "last-", "none+bm25-1", "extractive+none", "llm:", "+bm25-1"],
)
def test_what_is_no_method_is_named(name: str) -> None:
    with pytest.raises(UnknownMethod, match="There is no method"):
        parse(name)

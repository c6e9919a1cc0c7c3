"""Statements, their ids, corrections, diffs, and what counts as an implausible rewrite."""

from dataclasses import replace

import pytest

from service.domain.interaction import EventKey
from service.domain.profile import (
    Corrections,
    Statement,
    StatementChange,
    StatementKind,
    apply_corrections,
    diff_statements,
    implausible_change,
    render_text,
    statement_document,
    statement_id,
)


def about(subject: str, text: str | None = None) -> Statement:
    return Statement(
        id=statement_id(StatementKind.INTEREST, subject),
        kind=StatementKind.INTEREST,
        text=text or f"Often writes about {subject}.",
        evidence=(EventKey("api", f"e-{subject}"),),
    )


CHESS, BREAD, TRAINS, JAZZ = map(about, ["chess", "bread", "trains", "jazz"])
ALL = (CHESS, BREAD, TRAINS, JAZZ)


class TestStatementId:
    def test_is_the_same_on_every_machine_and_in_every_release(self) -> None:
        assert statement_id(StatementKind.INTEREST, "chess openings") == "3fda22573afa"

    @pytest.mark.parametrize(
        "subject", ["Chess  Openings", "chess, openings!", "\uff43hess openings"]
    )
    def test_does_not_depend_on_case_width_or_punctuation(self, subject: str) -> None:
        expected = statement_id(StatementKind.INTEREST, "chess openings")
        assert statement_id(StatementKind.INTEREST, subject) == expected

    def test_depends_on_the_subject_and_on_the_kind(self) -> None:
        ids = {
            statement_id(kind, subject)
            for kind in (StatementKind.INTEREST, StatementKind.RECENT)
            for subject in ("chess", "bread")
        }
        assert len(ids) == 4


class TestCorrections:
    def test_without_any_the_statements_stay(self) -> None:
        assert apply_corrections(ALL, Corrections()) == ALL

    def test_pinned_sentences_stand_first_in_the_order_given(self) -> None:
        corrected = apply_corrections(ALL, Corrections(pinned=("Is vegan.", "Lives in Oslo.")))
        assert [s.text for s in corrected[:2]] == ["Is vegan.", "Lives in Oslo."]
        assert corrected[2:] == ALL

    def test_a_pinned_statement_needs_no_evidence(self) -> None:
        (pinned,) = apply_corrections((), Corrections(pinned=("Is vegan.",)))
        assert (pinned.kind, pinned.evidence) == (StatementKind.PINNED, ())

    def test_applying_them_again_changes_nothing(self) -> None:
        corrections = Corrections(pinned=("Is vegan.",), suppressed=(BREAD.id,))
        once = apply_corrections(ALL, corrections)
        assert apply_corrections(once, corrections) == once

    def test_a_pin_that_is_taken_back_leaves(self) -> None:
        pinned = apply_corrections(ALL, Corrections(pinned=("Is vegan.",)))
        assert apply_corrections(pinned, Corrections()) == ALL

    def test_a_statement_is_suppressed_by_its_id(self) -> None:
        kept = apply_corrections(ALL, Corrections(suppressed=(BREAD.id,)))
        assert kept == (CHESS, TRAINS, JAZZ)

    def test_a_suppressed_id_outlives_any_rewording(self) -> None:
        reworded = about("bread", "Bakes sourdough on Sundays and tells everybody.")
        assert apply_corrections((reworded,), Corrections(suppressed=(BREAD.id,))) == ()

    @pytest.mark.parametrize(
        "rewording",
        [
            "Often bakes sourdough bread at home on Sundays.",
            "OFTEN BAKES SOURDOUGH BREAD AT HOME ON SUNDAYS!",
            "At home, on Sundays, often bakes sourdough bread",
            "Often bakes sourdough bread at home on Sundays now.",
        ],
    )
    def test_a_suppressed_sentence_survives_no_close_rewording(self, rewording: str) -> None:
        suppressed = "Often bakes sourdough bread at home on Sundays."
        generated = about("a new subject", rewording)
        assert apply_corrections((generated,), Corrections(suppressed=(suppressed,))) == ()

    def test_a_sentence_about_something_else_is_kept(self) -> None:
        suppressed = "Often bakes sourdough bread at home on Sundays."
        other = about("bread", "Often bakes rye bread with friends on Mondays.")
        assert apply_corrections((other,), Corrections(suppressed=(suppressed,))) == (other,)

    def test_what_is_pinned_is_not_said_twice(self) -> None:
        corrected = apply_corrections(ALL, Corrections(pinned=(CHESS.text,)))
        assert [s.text for s in corrected].count(CHESS.text) == 1

    def test_a_correction_without_a_word_suppresses_nothing(self) -> None:
        assert apply_corrections(ALL, Corrections(suppressed=("!!!",))) == ALL


class TestDiff:
    def test_the_same_statements_do_not_differ(self) -> None:
        diff = diff_statements(ALL, ALL)
        assert (diff.added, diff.removed, diff.changed, diff.unchanged) == ((), (), (), 4)

    def test_goes_by_id(self) -> None:
        reworded = replace(CHESS, text="Writes about chess in every second message.")
        diff = diff_statements((CHESS, BREAD, TRAINS), (reworded, TRAINS, JAZZ))
        assert diff.added == (JAZZ,)
        assert diff.removed == (BREAD,)
        assert diff.changed == (StatementChange(CHESS, reworded),)
        assert diff.unchanged == 1

    def test_another_order_is_no_change(self) -> None:
        assert diff_statements(ALL, ALL[::-1]).unchanged == 4


class TestImplausibleChange:
    def turned_over(self, kept: int = 0) -> tuple[Statement, ...]:
        return ALL[:kept] + tuple(about(f"new subject {n}") for n in range(4 - kept))

    def test_a_full_turn_without_news_is_implausible(self) -> None:
        assert implausible_change(ALL, self.turned_over(), 0.0)

    def test_enough_news_explains_a_full_turn(self) -> None:
        assert not implausible_change(ALL, self.turned_over(), 0.1)

    def test_a_rewrite_that_keeps_some_statements_is_plausible(self) -> None:
        assert not implausible_change(ALL, self.turned_over(kept=1), 0.0)

    def test_losing_every_statement_is_implausible_whatever_the_news(self) -> None:
        assert implausible_change((CHESS,), (), 1.0)

    def test_a_profile_of_few_statements_turns_over_too_easily_to_judge(self) -> None:
        assert not implausible_change(ALL[:3], self.turned_over(), 0.0)

    def test_a_first_profile_is_never_implausible(self) -> None:
        assert not implausible_change((), ALL, 0.0)

    def test_pinned_sentences_do_not_count_as_kept(self) -> None:
        pins = Corrections(pinned=("Is vegan.", "Lives in Oslo."))
        before, after = (apply_corrections(s, pins) for s in (ALL, self.turned_over()))
        assert implausible_change(before, after, 0.0)


def test_the_text_is_one_statement_a_line() -> None:
    assert render_text(ALL[:2]) == f"{CHESS.text}\n{BREAD.text}"


def test_a_statement_shows_its_evidence() -> None:
    assert statement_document(CHESS) == {
        "id": CHESS.id,
        "kind": "interest",
        "text": CHESS.text,
        "evidence": [{"source": "api", "event_id": "e-chess"}],
    }

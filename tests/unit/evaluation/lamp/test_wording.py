"""A tweet in its user's own spelling."""

from service.evaluation.lamp.tasks import TASKS
from service.evaluation.lamp.wording import in_own_wording
from tests.unit.evaluation.lamp.histories import tweets

TWEETS = TASKS["LaMP_7"]


def test_a_spelling_that_the_user_has_is_used() -> None:
    asked = tweets("im late", "so im here", "u know", "u see", asked="I am tired, do you know why?")
    assert in_own_wording(TWEETS, asked) == "im tired, do u know why?"


def test_a_spelling_that_the_user_does_not_have_is_not() -> None:
    asked = tweets("im late", "I am here", "I am well", asked="I am tired")
    assert in_own_wording(TWEETS, asked) == "I am tired"


def test_parts_of_words_stay() -> None:
    asked = tweets("u", "u", "ur", "ur", asked="Youth is yours, you're young")
    assert in_own_wording(TWEETS, asked) == "Youth is yours, you're young"


def test_who_mostly_mentions_somebody_does_so() -> None:
    often = ("@user hello", "@user bye", "rain")
    assert in_own_wording(TWEETS, tweets(*often, asked="Good tea")) == "@user Good tea"
    assert in_own_wording(TWEETS, tweets(*often, asked="Tea, @user")) == "Tea, @user"
    assert in_own_wording(TWEETS, tweets("rain", "sun", asked="Good tea")) == "Good tea"


def test_without_a_history_it_is_the_input() -> None:
    assert in_own_wording(TWEETS, tweets(asked="I am tired")) == "I am tired"

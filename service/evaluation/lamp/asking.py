"""What a model is asked about a sample: LaMP's words, and the profile where the service puts it."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.interaction import Interaction
from service.domain.placement import assemble
from service.domain.prompts import Message, TokenCounter, count_tokens, safe_statements
from service.domain.tokens import estimate_tokens
from service.evaluation.lamp.methods import Choice, Method
from service.evaluation.lamp.prompts import NoRoom, Tokenizer, retrieval_prompt
from service.evaluation.lamp.retrieval import retrieve
from service.evaluation.lamp.tasks import Kind, Sample, Task
from service.llm.client import Sampling

# LaMP generates 128 tokens at most; a label takes a few.
_ANSWER_TOKENS = {Kind.GENERATION: 128, Kind.RATING: 16, Kind.CLASSIFICATION: 32}
_ROLES_TOKENS = 16
# What LaMP writes around an entry, at most.
_FRAME_TOKENS = 16


class CountingTokenizer:
    """For a model whose vocabulary is not at hand: cuts by whatever counts its tokens."""

    def __init__(self, count: TokenCounter = estimate_tokens) -> None:
        self.count = count

    def truncate(self, text: str, max_tokens: int) -> tuple[str, int]:
        if max_tokens < 0:
            raise NoRoom
        tokens = self.count(text)
        if tokens <= max_tokens:
            return text, tokens
        lengths = range(1, len(text))
        kept = text[: bisect_right(lengths, max_tokens, key=lambda n: self.count(text[:n]))]
        return kept, self.count(kept)


@dataclass(frozen=True, slots=True)
class Room:
    """Tokens: the model's whole `context`, and of it at most for a `profile` with its guard and
    for `entries` with the question."""

    context: int
    profile: int
    entries: int


@dataclass(frozen=True, slots=True)
class Asking:
    """How the samples of `task` are put to one model."""

    task: Task
    tokenizer: Tokenizer
    count: TokenCounter
    room: Room

    @property
    def sampling(self) -> Sampling:
        """Greedy: the same run gives the same answers, as far as the endpoint does."""
        return Sampling(max_tokens=_ANSWER_TOKENS[self.task.kind], temperature=0.0)

    def messages(
        self, sample: Sample, method: Method, statements: Sequence[str]
    ) -> tuple[Message, ...]:
        """`statements`: of the profile that the method shows; none where there is none."""
        left = self.room.context - self.sampling.max_tokens - _ROLES_TOKENS
        room = min(self.room.entries, left - (self.room.profile if method.source else 0))
        asked = (Message("user", self._question(sample, method, max(0, room))),)
        tokens = count_tokens(asked, self.count)
        safe = [
            one._replace(tokens=self.count(one.text) + self.count("\n"))
            for one in safe_statements(statements)
        ]
        prompt = assemble(
            asked,
            safe,
            messages_tokens=tokens,
            profile_budget=min(self.room.profile, left + _ROLES_TOKENS - tokens),
            count=self.count,
        )
        return prompt.messages

    def _question(self, sample: Sample, method: Method, room: int) -> str:
        """Cut at its end where it does not fit, as LaMP cuts."""
        entries = self._entries(sample, method, room)
        text = retrieval_prompt(self.task, sample.input, entries, self.tokenizer, room)
        if self.tokenizer.count(text) <= room:
            return text
        try:
            return self.tokenizer.truncate(text, room)[0]
        except NoRoom:
            return text

    def _entries(self, sample: Sample, method: Method, room: int) -> Sequence[Interaction]:
        """The most similar first, or the newest."""
        if method.choice is Choice.SIMILAR and method.count is not None:
            return retrieve(self.task, sample, method.count)
        if method.choice is None:
            return ()
        newest = sample.history[::-1]
        if method.count is None:
            return self._fitting(sample, newest, room)
        return newest[: method.count]

    def _fitting(
        self, sample: Sample, newest: Sequence[Interaction], room: int
    ) -> Sequence[Interaction]:
        """As many whole entries as `room` holds beside the question, and at least one."""
        left = room - self.tokenizer.count(sample.input)
        for place, interaction in enumerate(newest):
            left -= self.tokenizer.count(interaction.text) + _FRAME_TOKENS
            if left < 0 and place:
                return newest[:place]
        return newest

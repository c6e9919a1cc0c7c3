"""A judge for small models: how much likelier does the query make a candidate?

The score is mean log p(candidate | query) - mean log p(candidate), in nats a token. Such a model
cannot follow instructions to rank, but it knows what follows what.

The query comes first in every prompt, for servers that share a prefix. vLLM does not for the
log-probabilities of a prompt: it computes the query once for each candidate.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice, takewhile
from math import isfinite
from statistics import fmean

from service.bump.judge import Cost, Direction, Question, Scores
from service.domain.prompts import before_interaction, before_profile, excerpt
from service.domain.tokens import estimate_tokens
from service.judges.asking import Round, UnusableAnswer
from service.llm.scoring import ScoredPrompt, ScoringClient

_TEXT_TOKENS = 256
_REMEMBERED_TEXTS = 50_000
_PRIORS_A_CALL = 16

# Texts as they stand in a prompt, by the direction in which they are candidates.
Prior = tuple[Direction, str]


class LikelihoodJudge:
    """Asks `client`'s model for the first 256 tokens of each text. A text without one scores 0."""

    name = "likelihood"
    sees_order = False

    def __init__(self, client: ScoringClient) -> None:
        self.cost = Cost()
        self._client = client
        self._round = Round(self.name)
        self._known: dict[Prior, float] = {}

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        """Raises JudgeFailed."""
        priors = await self._priors(questions)
        return await self._round.answers(partial(self._scored, priors), questions)

    async def close(self) -> None:
        await self._client.close()

    async def _scored(self, priors: Mapping[Prior, float], question: Question) -> Scores:
        query = _excerpt(question.query)
        candidates = [_excerpt(candidate) for candidate in question.candidates]
        distinct = [text for text in dict.fromkeys(candidates) if text and query]
        if not distinct:
            return [0.0] * len(candidates)
        means = await self._means(_context(question.direction, query), distinct)
        scores = {
            text: mean - priors[question.direction, text]
            for text, mean in zip(distinct, means, strict=True)
        }
        return [scores.get(text, 0.0) for text in candidates]

    async def _priors(self, questions: Sequence[Question]) -> dict[Prior, float]:
        """Of every candidate; what is not known yet is asked for, many texts a call."""
        wanted = dict.fromkeys(
            (question.direction, _excerpt(candidate))
            for question in questions
            for candidate in question.candidates
        )
        for direction in Direction:
            texts = [t for d, t in wanted if t and d is direction and (d, t) not in self._known]
            calls = [texts[i : i + _PRIORS_A_CALL] for i in range(0, len(texts), _PRIORS_A_CALL)]
            means = await self._round.answers(partial(self._means, _context(direction)), calls)
            for call, found in zip(calls, means, strict=True):
                self._known |= {(direction, t): m for t, m in zip(call, found, strict=True)}
        priors = {prior: self._known[prior] for prior in wanted if prior in self._known}
        for oldest in list(islice(self._known, max(0, len(self._known) - _REMEMBERED_TEXTS))):
            del self._known[oldest]
        return priors

    async def _means(self, context: str, texts: Sequence[str]) -> list[float]:
        """The mean log-probability of each text's tokens after `context`."""
        prompts = [context, *(context + text for text in texts)]
        (alone, *followed), usage = await self._client.score(prompts)
        tokens = usage.prompt_tokens if usage else sum(map(estimate_tokens, prompts))
        self.cost += Cost(calls=1, tokens=tokens)
        return [_mean_after(alone, prompt) for prompt in followed]


def _mean_after(context: ScoredPrompt, prompt: ScoredPrompt) -> float:
    # By tokens, not characters: a token may hold half of one, and the server cannot show it.
    pairs = zip(context.tokens, prompt.tokens, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    values = [value for value in prompt.log_probabilities[shared:] if value is not None]
    if not values or not all(map(isfinite, values)):
        raise UnusableAnswer("The model's answer lacks log-probabilities.")
    return fmean(values)


def _context(direction: Direction, query: str = "") -> str:
    return before_interaction(query) if direction is Direction.FORWARD else before_profile(query)


@lru_cache(maxsize=_REMEMBERED_TEXTS)
def _excerpt(text: str) -> str:
    return excerpt(text, tokens=_TEXT_TOKENS)

"""The judge of the BUMP paper: a language model reads all candidates at once and orders them.

Candidates carry letters, and guided decoding lets the model write nothing but as many letters as
there are. A regular expression cannot rule out that one comes twice (it would need a state for
every subset), so an answer counts up to its first repetition and the model is asked again for the
letters that are left. That is one call for a model that is up to the task, one a letter at worst,
and always a permutation.
"""

import re
from collections.abc import Sequence
from string import ascii_uppercase

from service.bump.judge import Cost, Direction, Question, Scores
from service.bump.ranking import scores_of_order
from service.domain.prompts import Message, count_tokens, rank_interactions, rank_profiles
from service.domain.tokens import estimate_tokens
from service.judges.asking import Round, UnusableAnswer
from service.llm.client import ChatClient, Completion, Sampling

# Of all the texts of a question: a profile of 160 and twelve interactions are rarely cut.
_QUESTION_TOKENS = 3_000
_SEPARATOR = " > "


class ListwiseJudge:
    """Asks `client`'s model, which needs structured outputs by regex, as vLLM has them."""

    name = "listwise"
    sees_order = True

    def __init__(self, client: ChatClient) -> None:
        self.cost = Cost()
        self._client = client
        self._round = Round(self.name)

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        """Raises JudgeFailed, and ValueError for more candidates than there are letters."""
        return await self._round.answers(self._scored, questions)

    async def close(self) -> None:
        await self._client.close()

    async def _scored(self, question: Question) -> Scores:
        distinct = list(dict.fromkeys(question.candidates))
        if not question.query.strip() or len(distinct) == 1:
            return [0.0] * len(question.candidates)  # There is nothing to tell them apart by.
        order = await self._order(question, distinct)
        scores = dict(zip(distinct, scores_of_order(order), strict=True))
        return [scores[candidate] for candidate in question.candidates]

    async def _order(self, question: Question, candidates: Sequence[str]) -> list[int]:
        letters = ascii_uppercase[: len(candidates)]
        if len(letters) < len(candidates):
            raise ValueError(f"A listwise judge ranks {len(ascii_uppercase)} candidates at most.")
        write = rank_interactions if question.direction is Direction.FORWARD else rank_profiles
        ranked = ""
        while len(ranked) < len(letters) - 1:
            left = "".join(letter for letter in letters if letter not in ranked)
            messages = write(
                question.query,
                dict(zip(letters, candidates, strict=True)),
                ranked=ranked,
                tokens=_QUESTION_TOKENS,
            )
            ranked += await self._next(messages, left)
        ranked += "".join(letter for letter in letters if letter not in ranked)
        return [letters.index(letter) for letter in ranked]

    async def _next(self, messages: Sequence[Message], left: str) -> str:
        """The next letters of the order, one or more of those `left`."""
        pattern = f"[{left}]({_SEPARATOR}[{left}]){{{len(left) - 1}}}"
        # A token for each character, in the worst vocabulary, and the end.
        most = len(left) + len(_SEPARATOR) * (len(left) - 1) + 1
        completion = await self._client.complete(
            messages, Sampling(max_tokens=most, temperature=0, regex=pattern)
        )
        self.cost += Cost(calls=1, tokens=_tokens(messages, completion))
        if not re.fullmatch(pattern, completion.text.strip()):
            raise UnusableAnswer("The model's answer is no order: it needs structured outputs.")
        named = completion.text.strip().split(_SEPARATOR)
        repeated = (place for place, letter in enumerate(named) if letter in named[:place])
        return "".join(named[: next(repeated, len(named))])


def _tokens(messages: Sequence[Message], completion: Completion) -> int:
    if usage := completion.usage:
        return usage.prompt_tokens + usage.completion_tokens
    return count_tokens(messages) + estimate_tokens(completion.text)

"""Zero-shot summaries of a history, in the manner of PAG (Richardson et al., 2023).

Its prompts ask for what a task needs: which score for what, which tag, how titles are worded.
These ask for the same in our words; where the summary stands in the prompt is up to `asking`, as
for every profile, so that rows differ in what is said of the user and in nothing else.
"""

import re

from service.domain.prompts import Message
from service.domain.tokens import estimate_tokens
from service.errors import DownstreamError
from service.evaluation.lamp.methods import SUMMARY
from service.evaluation.lamp.profiles import Source, Written
from service.evaluation.lamp.tasks import Sample, Task
from service.generators.llm import Chat
from service.llm.client import Sampling

_SAMPLING = Sampling(max_tokens=256, temperature=0.0)
_ENDINGS = re.compile(r"(?<=[.!?])\s+|\n+")
_WANTED = {
    "LaMP_1": "the research interests and topics of the researcher who wrote these papers",
    "LaMP_2": "which tag this person gives most often, and which tags to which kinds of movies",
    "LaMP_3": "which score this person gives most often, and what gets higher and lower scores",
    "LaMP_4": "how this author words headlines: their template, length, tone and favourite words",
    "LaMP_5": "how this author words titles of papers: their template, length and favourite words",
    "LaMP_6": "how this person words subjects of emails: their template, length and tone",
    "LaMP_7": "how this person words tweets: tone, punctuation, capitals, spelling, words",
}
_BLANK = " "


def summary_source(client: Chat, task: Task, *, history_tokens: int) -> Source:
    """Summaries by the model of `client`, which reads the newest `history_tokens`."""

    async def write(sample: Sample) -> Written | None:
        try:
            answer = await client.complete(_request(task, sample, history_tokens), _SAMPLING)
        except DownstreamError:
            return None
        sentences = tuple(filter(None, map(str.strip, _ENDINGS.split(answer.text))))
        return Written(sentences, ((),) * len(sentences)) if sentences else None

    return Source(SUMMARY, f"{client.model}, {history_tokens} tokens, {_SAMPLING}", write)


def _request(task: Task, sample: Sample, history_tokens: int) -> list[Message]:
    lines: list[str] = []
    for interaction in reversed(sample.history):
        line = f"- {_BLANK.join(interaction.text.split())}"
        history_tokens -= estimate_tokens(line) + 1
        if history_tokens < 0 and lines:
            break
        lines.append(line)
    asked = (
        f"Here is what one user wrote or rated, the oldest first:\n{chr(10).join(lines[::-1])}\n\n"
        f"Describe in a few sentences {_WANTED[task.name]}. Be specific to this user. Only give "
        "the description, nothing else."
    )
    return [Message("user", asked)]

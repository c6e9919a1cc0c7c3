"""From what a caller asks to a prompt and a reservation: what both ways of asking share."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.prompts import Message
from service.domain.tokens import estimate_tokens
from service.errors import InvalidField
from service.flows import personalize
from service.flows.limit_usage import Reservation
from service.flows.personalize import PersonalizedPrompt, PromptLimits
from service.flows.read_profile import ProfileReader, VersionReader
from service.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks what. None: as the project or the service has it.

    `profile_version`: the version that goes in. `most_tokens` is what each of the `answers` may
    take. `must_fit`: see PromptLimits.
    """

    project_id: str
    user_id: str | None
    messages: Sequence[Message]
    model: str | None = None
    most_tokens: int | None = None
    answers: int = 1
    template: str | None = None
    relevant_only: bool | None = None
    profile_version: int | None = None
    must_fit: bool = True


async def personalized(asked: Asked, runtime: Runtime) -> PersonalizedPrompt:
    """Raises ModelNotFound, InvalidField for an unknown template, TooLarge.

    With `profile_version` also UserNotFound, ProfilingPaused and VersionNotFound.
    """
    settings = runtime.settings
    options = runtime.downstream.find(asked.model).options if runtime.downstream else None
    prompts = (await runtime.projects.read(asked.project_id)).prompts
    template = prompts.find(asked.template)
    if template is None:
        raise InvalidField(("template", "names none; GET /v1/personalize/settings lists yours"))
    relevant_only = asked.relevant_only
    return await personalize.personalized_prompt(
        _reader(asked, runtime),
        asked.project_id,
        asked.user_id,
        asked.messages,
        max_tokens=_most_tokens(asked, runtime),
        limits=PromptLimits(
            profile=settings.prompt_profile_tokens,
            context=options.context if options else settings.downstream_context,
            must_fit=asked.must_fit,
            count=options.count if options else estimate_tokens,
        ),
        template=template,
        relevant_only=prompts.relevant_only if relevant_only is None else relevant_only,
    )


async def reserved(asked: Asked, prompt: PersonalizedPrompt, runtime: Runtime) -> Reservation:
    """Raises LimitReached."""
    return await runtime.usage.reserve(
        asked.project_id,
        asked.user_id,
        prompt_tokens=prompt.prompt.tokens,
        answer_tokens=_most_tokens(asked, runtime) * asked.answers,
        limits=(await runtime.projects.read(asked.project_id)).limits,
    )


def _reader(asked: Asked, runtime: Runtime) -> ProfileReader | VersionReader:
    if asked.profile_version is None:
        return runtime.reader
    return VersionReader(runtime.database, asked.profile_version)


def _most_tokens(asked: Asked, runtime: Runtime) -> int:
    return asked.most_tokens or runtime.settings.downstream_max_tokens

"""The part of `bump doctor` that looks at language models: generator, judge, downstream."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

from service.commands.doctor_finding import Finding, State
from service.config import Settings, revealed
from service.errors import ConfigurationError
from service.llm.local import local_name
from service.runtime import open_generator, open_scoring
from service.runtime.downstream import described_downstreams

_SECONDS = 10.0
_SHOWN_MODELS = 5
_LLM_JUDGES = ("listwise", "likelihood")


@dataclass(frozen=True, slots=True)
class _Model:
    """A model behind an OpenAI-compatible base URL. `check`: what Bump needs it for."""

    check: str
    url: str
    name: str
    api_key: str | None

    @property
    def variables(self) -> str:
        return f"BUMP_{self.check.upper()}"

    def finding(self, state: State, found: str, advice: str = "") -> Finding:
        return Finding(self.check, state, found, advice)


async def model_findings(settings: Settings) -> AsyncIterator[Finding]:
    """One for each model. Asks for lists of models only: no token is generated, or paid for."""
    yield await _generator_finding(settings)
    yield await _judge_finding(settings)
    try:
        described = described_downstreams(settings)
    except ConfigurationError as error:
        yield Finding("downstream", "error", str(error))
        return
    if not described:
        yield Finding(
            "downstream",
            "ok",
            "None is configured: /v1/personalize/prompt works, /v1/personalize needs one.",
            "BUMP_DOWNSTREAM_URL and BUMP_DOWNSTREAM_MODEL name one. (What `bump up` was told by "
            "--downstream or --model is not seen here.)",
        )
    for one in described.values():
        model = _Model("downstream", one.url, one.model, revealed(one.api_key))
        yield await _model_finding(model)


async def _generator_finding(settings: Settings) -> Finding:
    try:
        open_generator(settings)
    except ConfigurationError as error:
        return Finding("generator", "error", str(error))
    if settings.generator == "extractive":
        return Finding("generator", "ok", "extractive: it needs no model.")
    url, model = str(settings.generator_url), str(settings.generator_model)
    key = revealed(settings.generator_api_key)
    return await _model_finding(_Model("generator", url, model, key))


async def _judge_finding(settings: Settings) -> Finding:
    try:
        open_scoring(settings)
    except ConfigurationError as error:
        return Finding("judge", "error", str(error))
    if settings.judge not in _LLM_JUDGES:
        return Finding("judge", "ok", f"{settings.judge}: it needs no endpoint.")
    url, model = str(settings.judge_url), str(settings.judge_model)
    key = revealed(settings.judge_api_key)
    return await _model_finding(_Model("judge", url, model, key))


async def _model_finding(model: _Model) -> Finding:
    if name := local_name(model.url):
        return model.finding("ok", f"{name} is loaded by the API's own process.")
    try:
        response = await _listing(model)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return model.finding(
            "error",
            f"Nothing answers at {model.url} ({type(error).__name__}).",
            f"Start the model's server, or correct {model.variables}_URL; it commonly ends in /v1.",
        )
    if response.status_code in (401, 403):
        advice = f"Correct {model.variables}_API_KEY."
        return model.finding("error", f"{model.url} refuses the key.", advice)
    names = _names(response)
    if names is None:
        return model.finding(
            "warning",
            f"{model.url} answers, but lists no models (status {response.status_code}).",
            f"Is {model.variables}_URL right? It commonly ends in /v1.",
        )
    if model.name not in names:
        listed = ", ".join(names[:_SHOWN_MODELS]) or "none"
        return model.finding(
            "error",
            f"{model.url} has no model {model.name}.",
            f"Correct {model.variables}_MODEL; it has {listed}.",
        )
    return model.finding("ok", f"{model.name} at {model.url} is there.")


async def _listing(model: _Model) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {model.api_key}"} if model.api_key else {}
    # Neither proxies nor redirects: the service itself follows none.
    async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
        return await client.get(f"{model.url.rstrip('/')}/models", headers=headers)


def _names(response: httpx2.Response) -> list[str] | None:
    """Of `GET /models` as OpenAI answers it; None where this is something else."""
    try:
        document: Any = response.json()
        return [str(model["id"]) for model in document["data"]]
    except (ValueError, TypeError, KeyError):
        return None

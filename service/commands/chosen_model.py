"""Which model `bump up` has answer: the one it is told, that of the settings, or bump-mini."""

from pathlib import Path

import httpx2

from service.errors import ConfigurationError
from service.llm.local import BUMP_MINI, LOCAL_SCHEME

_SECONDS = 5.0


def model_environment(url: str | None, model: str | None, configured: str | None) -> dict[str, str]:
    """Environment variables for the API; none where that of the settings, `configured`, answers.

    With `url`, the `model` behind that endpoint, by default its only one. Without, `model` is
    bump-mini or one that transformers loads, in the API's process; so is bump-mini where nothing
    else is named.
    Raises ConfigurationError where the endpoint does not answer, or has not just one model.
    """
    if url is not None:
        return _of(url, model or _only_model(url))
    if model is not None:
        return _of(f"{LOCAL_SCHEME}{model}", Path(model).name if Path(model).is_dir() else model)
    if configured is not None:
        return {}
    return _of(f"{LOCAL_SCHEME}{BUMP_MINI}", BUMP_MINI)


def _of(url: str, model: str) -> dict[str, str]:
    return {"BUMP_DOWNSTREAM_URL": url, "BUMP_DOWNSTREAM_MODEL": model}


def _only_model(url: str) -> str:
    try:
        with httpx2.Client(trust_env=False, timeout=_SECONDS) as client:
            listed = client.get(f"{url.rstrip('/')}/models").raise_for_status().json()
        names = [str(model["id"]) for model in listed["data"]]
    except (httpx2.HTTPError, ValueError, LookupError, TypeError) as error:
        raise ConfigurationError(
            f"{url} does not list its models ({type(error).__name__}). Is it running, and is this "
            "the base URL of its OpenAI-compatible API, which mostly ends in /v1? Or name the "
            "model with --model."
        ) from error
    if len(names) != 1:
        raise ConfigurationError(
            f"{url} has {len(names)} models ({', '.join(names)}): choose one with --model."
        )
    return names[0]

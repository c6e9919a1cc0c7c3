"""`bump evaluate` with a model that writes and the same that judges, on a real vLLM.

Its weights are random, so what is shown is that everything is asked and answered, not judgement.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.bump.setting import Setting
from service.commands.evaluate import Request, evaluate
from service.config import Settings
from tests.unit.evaluation.fictional import HOBBIES, as_lines, histories
from tests.vllm_server import MODEL_NAME

pytestmark = pytest.mark.vllm


async def test_a_model_writes_and_models_judge(vllm: str, tmp_path: Path) -> None:
    file = tmp_path / "hobbies.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in as_lines(histories())))
    settings = Settings(
        _env_file=None,
        generator_url=vllm,
        generator_model=MODEL_NAME,
        judge_url=vllm,
        judge_model=MODEL_NAME,
    )
    request = Request(
        (file,),
        None,
        generators="empty,keywords,llm",
        judges="listwise,likelihood",
        setting=Setting(held_out=2, orders=2),
        seed=7,
        resume=tmp_path / "kept",
    )
    document = await evaluate(settings, request)
    rows = {(row["generator"], row["judge"]): row for row in document["rows"]}
    generators = ("empty", "keywords", f"llm:{MODEL_NAME}")
    assert set(rows) == {(g, judge) for g in generators for judge in ("listwise", "likelihood")}
    for judge in ("listwise", "likelihood"):
        total = rows["empty", judge]["total"]["mean"]
        assert total == pytest.approx(document["chance"]["total"], abs=1e-6)
        assert rows[generators[2], judge]["without_profile"] < len(HOBBIES)
    # Kept, so nothing is asked again: nobody listens there.
    nowhere = settings.model_copy(
        update={"generator_url": "http://127.0.0.1:1/v1", "judge_url": "http://127.0.0.1:1/v1"}
    )
    kept = [row for row in document["rows"] if row["generator"] == "keywords"]
    again = await evaluate(nowhere, replace(request, generators="keywords"))
    assert again["rows"] == kept

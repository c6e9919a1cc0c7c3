"""`bump train downstream` as it is called: a tiny model, without a GPU and without a server."""

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from service.domain.prompts import Message
from service.evaluation.lamp.demonstrations import Demonstration, write
from service.trainer.curves import read_curves
from service.trainer.export import user_digests

Done = subprocess.CompletedProcess[str]
MODEL_SCRIPT = Path(__file__).parents[1] / "vllm_model.py"
SECONDS = 600
ORIGIN = {"task": "LaMP_3", "method": "llm", "split": "train"}
LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
CONFIGURATION = """
[model]
name = "{model}"
lora_rank = 2
lora_alpha = 4
max_tokens = 200
[training]
epochs = 1
batch = 2
micro_batch = 1
learning_rate = 0.01
warmup = 0.0
precision = "fp32"
save_every = 1
"""


def demonstration(name: str, question: str = "Which score is it?") -> Demonstration:
    prompt = (Message("system", "A guard."), Message("user", f"{name} likes trains. {question}"))
    return Demonstration(name, prompt, "4")


# Two steps of two each, and one that is too long.
DEMONSTRATIONS = [
    *map(demonstration, ("ana", "ben", "cem", "dan")),
    demonstration("eva", "Which score is it? " * 100),
]


def run(folder: Path, *options: str, model: str | Path = "none", **changes: str) -> Done:
    configuration = changes.get("configuration", CONFIGURATION).format(model=model)
    (folder / "train.toml").write_text(configuration)
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [
            *(sys.executable, "-m", "service", "train", "downstream"),
            f"--config={folder / 'train.toml'}",
            f"--demonstrations={folder / 'demonstrations.jsonl.gz'}",
            *(f"--output={folder / 'output'}", *options),
        ],
        env={
            **known,
            **{"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def demonstrations(folder: Path) -> Path:
    path = folder / "demonstrations.jsonl.gz"
    write(path, ORIGIN, DEMONSTRATIONS)
    return path


def sentence(done: Done) -> str:
    """The only line that a command which could not do its work has to say."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("bump: ")
    return line


class TestWithoutTorch:
    def test_a_dry_run_checks_and_counts_and_leaves_nothing(self, tmp_path: Path) -> None:
        demonstrations(tmp_path)
        done = run(tmp_path, "--dry-run")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["demonstrations"], told["steps"]) == (5, 3)
        assert told["estimated_tokens"]["too_long"] == 1
        assert told["first"]["id"] == "ana"
        assert told["origin"] == ORIGIN
        assert told["settings"]["model"]["lora_rank"] == 2
        assert not (tmp_path / "output").exists()

    def test_what_is_missing_or_wrong_is_one_plain_sentence(self, tmp_path: Path) -> None:
        assert "demonstrations.jsonl.gz cannot be read" in sentence(run(tmp_path, "--dry-run"))
        demonstrations(tmp_path)
        wrong = run(tmp_path, "--dry-run", configuration="[training]\nlr = 1")
        assert "training.lr is no setting" in sentence(wrong)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("downstream") / "model"
    subprocess.run([sys.executable, MODEL_SCRIPT, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """The folder of a run of two steps."""
    folder = tmp_path_factory.mktemp("trained")
    demonstrations(folder)
    done = run(folder, model=model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / "output/adapter")
    return folder


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / "output/adapter/adapter_model.safetensors")
    return found


@pytest.mark.train
@pytest.mark.slow
class TestTraining:
    def test_the_adapter_is_one_that_vllm_loads(self, trained: Path, model: Path) -> None:
        told = json.loads((trained / "output/adapter/adapter_config.json").read_text())
        assert {name.rpartition(".")[2] for name in told["target_modules"]} == LINEAR
        assert (told["r"], told["lora_alpha"], told["peft_type"]) == (2, 4, "LORA")
        assert told["base_model_name_or_path"] == str(model)
        names = set(weights(trained))
        assert len(names) == 2 * 2 * len(LINEAR)  # A and B of two layers
        assert any(weights(trained)[name].abs().max() > 0 for name in names if "lora_B" in name)

    def test_two_steps_are_logged_and_the_card_says_what_was_taught(self, trained: Path) -> None:
        rows = read_curves(trained / "output")
        assert [row["step"] for row in rows] == [1, 2]
        card = json.loads((trained / "output/adapter/card.json").read_text())
        assert card["users"] == list(user_digests(["ana", "ben", "cem", "dan"]))
        assert (card["too_long"], card["origin"]) == (1, ORIGIN)
        assert card["curve"] == [[row["step"], row["loss"]] for row in rows]
        artifact = trained / "output/adapter" / card["artifact"]
        assert card["sha256"] == sha256(artifact.read_bytes()).hexdigest()
        assert "LaMP_3, method llm" in (trained / "output/adapter/README.md").read_text()

    def test_a_run_that_was_killed_after_a_step_ends_as_if_it_had_not_been(
        self, trained: Path, model: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
        shutil.rmtree(tmp_path / "output/adapter")
        shutil.rmtree(tmp_path / "output/checkpoints/checkpoint-2")
        done = run(tmp_path, model=model)
        assert done.returncode == 0, done.stderr
        assert [row["step"] for row in read_curves(tmp_path / "output")] == [1, 2]
        whole, resumed = weights(trained), weights(tmp_path)
        assert all((resumed[name] - whole[name]).abs().max() < 1e-6 for name in whole)

    def test_other_demonstrations_do_not_go_on_from_a_runs_checkpoints(
        self, trained: Path, model: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
        write(tmp_path / "demonstrations.jsonl.gz", ORIGIN, DEMONSTRATIONS[:2])
        assert "holds another run" in sentence(run(tmp_path, model=model))

    def test_a_model_that_is_not_there_is_one_plain_sentence(self, tmp_path: Path) -> None:
        demonstrations(tmp_path)
        said = sentence(run(tmp_path, model=tmp_path / "nowhere"))
        assert "nowhere cannot be trained" in said


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_only_the_answer_and_the_end_of_its_turn_have_a_loss(model: Path, tmp_path: Path) -> None:
    from service.trainer.downstream import make_trainer
    from service.trainer.downstream_config import parse_config

    short = {"batch": 1, "micro_batch": 1, "precision": "fp32"}
    config = parse_config({"model": {"name": str(model)}, "training": short})
    trainer = make_trainer(config, DEMONSTRATIONS[:2], tmp_path)
    tokenizer = trainer.processing_class
    for row, taught in zip(trainer.train_dataset, DEMONSTRATIONS, strict=False):
        prompt = tokenizer.apply_chat_template(
            taught.to_json()["prompt"], add_generation_prompt=True, tokenize=False
        )
        answer = [label for label in row["labels"] if label != -100]
        assert tokenizer.decode(row["input_ids"]) == f"{prompt}4<|im_end|>\n"
        assert tokenizer.decode(answer) == "4<|im_end|>\n"
        assert row["labels"][-len(answer) :] == answer

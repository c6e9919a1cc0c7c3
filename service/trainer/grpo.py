"""GRPO of an LLM policy under the BUMP reward: TRL's trainer and a LoRA, for `bump train llm`.

On one process or, started by `torchrun` or `accelerate launch`, on several. Everything lands in one
folder: `metrics.jsonl` and event files, `checkpoints/`, and in the end `adapter/`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import structlog
from accelerate import PartialState
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from service.bump.batch import BatchTooSmall, Example, draw_negatives
from service.bump.judge import Judge
from service.errors import ConfigurationError
from service.trainer.curves import Curves
from service.trainer.llm_config import LlmConfig
from service.trainer.llm_rollouts import profile_text, request_messages
from service.trainer.lora_run import (
    CurveCallback,
    last_checkpoint,
    lora,
    run_arguments,
    step_of,
)
from service.trainer.ranks import once_for_all
from service.trainer.rewarding import Rollout, reward_rollouts
from service.trainer.schedule import users_of_steps
from service.trainer.served_rollouts import ServedRollouts
from service.trainer.vllm_server import VllmServer

log = structlog.get_logger()

Answer = tuple[str, str]  # the user's id, and what the policy wrote about them


class BumpReward:
    """TRL's reward function: a step's rollouts, of all processes, in one round of the judge."""

    __name__ = "bump"

    def __init__(
        self, examples: Sequence[Example], judge: Judge, config: LlmConfig, runner: asyncio.Runner
    ) -> None:
        self._examples = {example.user_id: example for example in examples}
        self._judge = judge
        self._config = config
        self._runner = runner

    def __call__(
        self,
        completions: Sequence[Sequence[Mapping[str, str]]],
        user_id: Sequence[str],
        trainer_state: Any,
        log_metric: Any,
        **_: Any,
    ) -> list[float | None]:
        """A reward for each of this process' completions; None where there is no judgement."""
        own = [
            (user, completion[-1]["content"])
            for user, completion in zip(user_id, completions, strict=True)
        ]

        def score(answers: Sequence[Answer]) -> Sequence[float | None]:
            totals, means = self._runner.run(self.score(answers, trainer_state.global_step))
            for name, value in means.items():
                log_metric(f"bump/{name}", value)
            return totals

        return once_for_all(own, score)

    async def score(
        self, answers: Sequence[Answer], step: int
    ) -> tuple[Sequence[float | None], dict[str, float]]:
        """The rewards of all answers of a step, and what there is to know about them."""
        reward, policy = self._config.reward, self._config.policy
        rollouts = [
            Rollout(user, profile_text(answer, self._examples[user], policy))
            for user, answer in answers
        ]
        users = [self._examples[user] for user in dict.fromkeys(user for user, _ in answers)]
        seed = self._config.training.seed + step
        try:
            negatives = draw_negatives(
                users,
                count=reward.negatives,
                seed=seed,
                time_matched=reward.time_matched,
                spare=True,
            )
        except BatchTooSmall as error:
            log.warning("step_without_negatives", step=step, reason=str(error))
            return [None] * len(answers), {"unjudged": float(len(answers))}
        before = self._judge.cost
        rewards = await reward_rollouts(
            users,
            negatives,
            rollouts,
            self._judge,
            orders=reward.orders,
            seed=seed,
            terms=reward.terms,
            target_tokens=reward.target_tokens,
        )
        after = self._judge.cost
        return rewards.totals, {
            **rewards.means(),
            "usable": sum(bool(rollout.text) for rollout in rollouts) / len(rollouts),
            "judge_calls": float(after.calls - before.calls),
            "judge_tokens": float(after.tokens - before.tokens),
        }


def train(
    config: LlmConfig, examples: Sequence[Example], judge: Judge, folder: Path
) -> Path | None:
    """Train, or go on from the last checkpoint in `folder`; the folder of the finished adapter.

    None on every process but the first, which does what is to be done once. Raises
    ConfigurationError for a configuration that does not fit the users or the processes, and what
    the judge and the rollout server raise when they stay away: the run can be resumed.
    """
    checkpoint = last_checkpoint(folder)
    after = step_of(checkpoint) if checkpoint else 0
    adapter = folder / "adapter"
    with asyncio.Runner() as runner:
        trainer = _trainer(config, examples, BumpReward(examples, judge, config, runner), folder)
        rollouts = _rollouts(config, folder, runner)
        trainer.rollout_func = rollouts
        with Curves(folder, after=after) if trainer.is_world_process_zero() else nullcontext() as c:
            if c:
                trainer.add_callback(CurveCallback(c, marker="reward"))
            try:
                trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
            finally:
                if rollouts:
                    runner.run(rollouts.close())
        if not trainer.is_world_process_zero():
            return None
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(adapter)
    return adapter


def _trainer(
    config: LlmConfig, examples: Sequence[Example], reward: BumpReward, folder: Path
) -> GRPOTrainer:
    return GRPOTrainer(
        model=config.policy.model,
        reward_funcs=reward,
        args=_arguments(config, folder),
        train_dataset=_prompts(config, examples),
        peft_config=lora(config.policy.lora_rank, config.policy.lora_alpha),
    )


def _arguments(config: LlmConfig, folder: Path) -> GRPOConfig:
    training, rollouts = config.training, config.rollouts
    at_once = training.micro_batch * PartialState().num_processes
    rounds, rest = divmod(training.users * training.group, at_once)
    if rest or not rounds:
        raise ConfigurationError(
            f"A step's {training.users} x {training.group} rollouts cannot be shared out by "
            f"{at_once} (training.micro_batch times the processes): choose numbers that divide."
        )
    server: dict[str, Any] = {}
    if rollouts.engine in ("colocate", "server"):
        server = {"use_vllm": True, "vllm_mode": rollouts.engine}
        if rollouts.engine == "server":
            server["vllm_server_base_url"] = rollouts.url
    return GRPOConfig(
        **run_arguments(training, folder, training.steps),
        num_generations=training.group,
        gradient_accumulation_steps=rounds,
        max_completion_length=rollouts.answer_tokens,
        temperature=rollouts.temperature,
        beta=training.kl,
        entropy_coef=training.entropy,
        scale_rewards="group",
        shuffle_dataset=False,
        **server,
    )


def _prompts(config: LlmConfig, examples: Sequence[Example]) -> Dataset:
    """A row a user and step, in the steps' order; its prompt is rendered when it is read."""
    by_user = {example.user_id: example for example in examples}
    try:
        steps = users_of_steps(
            examples,
            users=config.training.users,
            steps=config.training.steps,
            seed=config.training.seed,
            time_matched=config.reward.time_matched,
        )
    except ValueError as error:
        raise ConfigurationError(
            f"{error} Lower training.users, or bring more histories."
        ) from None
    policy = config.policy

    def render(rows: Mapping[str, list[str]]) -> dict[str, list[Any]]:
        prompts = [request_messages(by_user[user], policy) for user in rows["user_id"]]
        return {"prompt": prompts, "user_id": rows["user_id"]}

    rows = {"user_id": [user for users in steps for user in users]}
    return Dataset.from_dict(rows).with_transform(render)


def _rollouts(config: LlmConfig, folder: Path, runner: asyncio.Runner) -> ServedRollouts | None:
    """None where TRL samples by itself."""
    rollouts = config.rollouts
    if rollouts.engine != "http" or rollouts.url is None:
        return None
    return ServedRollouts(
        VllmServer(rollouts.url, timeout=rollouts.timeout),
        runner,
        rollouts.adapters or folder / "rollout_adapters",
        answer_tokens=rollouts.answer_tokens,
        temperature=rollouts.temperature,
    )

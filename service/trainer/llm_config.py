"""What `bump train llm` is told: one TOML file, every value of which has a default.

The defaults are the setting of the BUMP paper (arXiv 2606.05336), with the gap and the time-matched
negatives that our own measurements ask for. `examples/train_llm.toml` lists all of them.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from service.bump.setting import Setting
from service.domain.selection import Selection
from service.trainer.config_file import LoraTraining, Section, Share, read_toml, validated
from service.trainer.rewarding import Terms


class PolicyConfig(Section):
    """The model that learns to write profiles, and what it reads."""

    model: str = "Qwen/Qwen3-4B-Instruct-2507"
    lora_rank: PositiveInt = 32
    lora_alpha: PositiveInt = 64
    history_limit: PositiveInt = 200
    history_tokens: PositiveInt = 6_000
    history_selection: Selection = "varied"


class RewardConfig(Section):
    """How profiles are asked about, and what counts: see `bump.setting.Setting` and `Terms`."""

    held_out: PositiveInt = 1
    negatives: PositiveInt = 8
    gap: Annotated[int, Field(ge=0)] = 4
    time_matched: bool = True
    orders: PositiveInt = 2
    min_visible: PositiveInt = 5
    target_tokens: PositiveInt = 160
    forward: bool = True
    backward: bool = True
    length: bool = True

    @property
    def setting(self) -> Setting:
        return Setting(
            held_out=self.held_out,
            negatives=self.negatives,
            gap=self.gap,
            time_matched=self.time_matched,
            orders=self.orders,
            min_visible=self.min_visible,
        )

    @property
    def terms(self) -> Terms:
        return Terms(forward=self.forward, backward=self.backward, length=self.length)


class JudgeConfig(Section):
    """Who ranks, by the name that `bump evaluate` knows: frozen, and not who reports later."""

    kind: str = "listwise"


class RolloutConfig(Section):
    """Where profiles are sampled.

    `http`: a vLLM server, which loads the adapter of every step; works without CUDA as well.
    `transformers`: in the training process, without a server. `colocate`, `server`: TRL's own
    ways to vLLM, which need CUDA.
    """

    engine: Literal["http", "transformers", "colocate", "server"] = "http"
    url: str | None = None
    adapters: Path | None = None
    timeout: PositiveFloat = 300.0
    answer_tokens: PositiveInt = 880
    temperature: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _names_its_server(self) -> Self:
        if self.engine in ("http", "server") and self.url is None:
            raise ValueError(f"engine = {self.engine!r} needs url, the base URL of the server")
        return self


class TrainingConfig(LoraTraining):
    """GRPO. A step takes `users` times `group` rollouts, `micro_batch` of them at a time."""

    group: Annotated[int, Field(ge=2)] = 8
    users: PositiveInt = 32
    steps: PositiveInt = 200
    users_share: Share = 0.8
    kl: Annotated[float, Field(ge=0)] = 0.0
    entropy: Annotated[float, Field(ge=0)] = 0.0


class LlmConfig(Section):
    policy: PolicyConfig = PolicyConfig()
    reward: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    rollouts: RolloutConfig
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _has_enough_others(self) -> Self:
        users, negatives = self.training.users, self.reward.negatives
        if users <= negatives:
            raise ValueError(
                f"training.users = {users} must be more than reward.negatives = {negatives}: the "
                "others of a step are the negatives"
            )
        return self


def read_config(path: Path) -> LlmConfig:
    """Raises ConfigurationError naming the key that is wrong, unknown or missing."""
    return parse_config(read_toml(path))


def parse_config(document: dict[str, Any]) -> LlmConfig:
    return validated(LlmConfig, document, "train llm")

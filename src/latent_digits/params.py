"""What `params.yaml` may say: one frozen model a section, no defaults, nothing converted.

This module can refuse a value but never change one, so no stage's output depends on its code.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from latent_digits import yaml_files
from latent_digits.console import UserError, run_stage

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Variance = Annotated[float, Field(ge=0, le=100)]
LatentDim = Annotated[int, Field(ge=1, le=784)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
Optimizer = Literal["adam", "sgd"]
Bound = TypeVar("Bound", int, float)


class Section(BaseModel):
    """A part of `params.yaml`: strict types, unknown keys refused, immutable."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class PrepareParams(Section):
    seed: Seed
    stratify: bool
    train: Count
    val: Count
    test: Annotated[int, Field(ge=1, le=10_000)]

    @model_validator(mode="after")
    def fits_mnist(self) -> Self:
        if self.train + self.val > 60_000:
            raise ValueError(
                f"train + val is {self.train + self.val}; MNIST has 60000 training images"
            )
        return self


class Range(Section, Generic[Bound]):
    """A closed interval that is not empty."""

    low: Bound
    high: Bound

    @model_validator(mode="after")
    def is_not_empty(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the range is empty: low {self.low} is above high {self.high}")
        return self


class SearchSpace(Section):
    """What the search may choose from."""

    latent_dim: Range[LatentDim]
    optimizer: Annotated[list[Optimizer], Field(min_length=1)]
    lr: Range[LearningRate]
    batch_size: Annotated[list[BatchSize], Field(min_length=1)]
    dropout: Range[Probability]


class DesignParams(Section):
    """What a search chooses; see `latent_digits.design`."""

    latent_dim: LatentDim
    optimizer: Optimizer
    lr: LearningRate
    batch_size: BatchSize
    dropout: Probability


class TuneParams(Section):
    trials: Annotated[int, Field(ge=0, le=100_000)]
    generation: Count
    startup_trials: Annotated[int, Field(ge=0)]
    pruning_warmup: Count
    pruning_peers: Count
    epochs: Epochs
    space: SearchSpace
    report_design: DesignParams


class Budget(Section):
    """What we are ready to pay for a training whose design comes from the search."""

    epochs: Epochs
    patience: Count


class FullRecipe(Budget):
    """A training whose optimizer is fixed here rather than searched for."""

    optimizer: Optimizer
    lr: LearningRate
    batch_size: BatchSize


class LatentRecipe(FullRecipe):
    latent_dim: LatentDim


class DropoutRecipe(LatentRecipe):
    dropout: Probability


class TrainAeParams(Section):
    ae: Budget
    ae_2d: DropoutRecipe


class TrainVaeParams(Section):
    vae: FullRecipe
    vae_2d: LatentRecipe


class FinetuneParams(Section):
    hidden: Annotated[int, Field(ge=1, le=65_536)]
    head: FullRecipe
    end_to_end: FullRecipe


class NoiseLevels(Section):
    gaussian_mean: Annotated[float, Field(ge=-1, le=1)]
    gaussian_variance: Variance
    salt_pepper: Probability
    speckle_variance: Variance


class NoiseParams(Section):
    text: NoiseLevels
    harsh: NoiseLevels
    panel: NoiseLevels


class EvaluateParams(Section):
    bootstrap_resamples: Annotated[int, Field(ge=100, le=100_000)]
    active_unit_variance: Annotated[float, Field(gt=0)]
    tsne_perplexity: Annotated[int, Field(ge=2, le=1000)]
    interpolation_steps: Annotated[int, Field(ge=2, le=50)]


class PlotParams(Section):
    dpi: Annotated[int, Field(ge=50, le=600)]
    max_points: Count


class FabricParams(Section):
    """How one training is spread; see `latent_digits.ranks`."""

    accelerator: Literal["auto", "cpu", "cuda"]
    devices: Count
    num_nodes: Count
    strategy: Literal["auto", "ddp"]
    precision: Literal["32-true", "bf16-mixed"]


class TrackingParams(Section):
    required: bool
    system_metrics: bool


class Params(Section):
    """The whole of `params.yaml`."""

    seed: Seed
    prepare: PrepareParams
    tune: TuneParams
    train_ae: TrainAeParams
    train_denoise: Budget
    train_vae: TrainVaeParams
    finetune: FinetuneParams
    noise: NoiseParams
    fabric: FabricParams
    evaluate: EvaluateParams
    plot: PlotParams
    tracking: TrackingParams


def load_params(path: Path = Path("params.yaml")) -> Params:
    """The validated parameters.

    Raises UserError with one line a fault: file, key, value found, value allowed.
    """
    try:
        values = yaml_files.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing here; run from the project's top folder, or restore the file "
            f"with `git checkout {path}`."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} is no readable YAML file: {' '.join(str(error).split())}"
        ) from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(describe(path, fault) for fault in error.errors())) from None


def describe(path: Path, fault: Any) -> str:
    """One line for one fault that pydantic found."""
    key = shortened(".".join(str(part) for part in fault["loc"]) or "the file")
    found, value = fault["input"], shortened(repr(fault["input"]))
    message = fault["msg"]
    match fault["type"]:
        case "missing":
            return f"{path}: {key} is missing; add it (`git diff {path}` shows what was there)."
        case "extra_forbidden":
            return f"{path}: {key} is {value}, but no stage knows this key; correct or remove it."
        case "value_error":
            return f"{path}: {key}: {message.removeprefix('Value error, ')}."
        case "model_type":
            message = "should be a section of keys and values"
        case "too_short":
            message = "should name at least one"
        case "bool_type":
            message = "should be true or false"
    hint = ""
    if isinstance(found, str) and yaml_files.is_number(found):
        hint = " In quotes it is text: drop them."
    return f"{path}: {key} is {value}; it {message.removeprefix('Input ')}.{hint}"


def shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("params.yaml")
    load_params(path)


if __name__ == "__main__":
    run_stage(main)

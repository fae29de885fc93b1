"""What `params.yaml` may say: one frozen model a section, no defaults, nothing converted.

This module can refuse a value but never change one, so no stage's output depends on its code.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from latent_digits.catalogue import METRICS
from latent_digits.console import UserError
from latent_digits.project import renamed, yaml_files
from latent_digits.project.provenance import flatten

DATASETS = ("mnist", "fashion_mnist", "kmnist")
OWN_IMAGES = PurePosixPath("data/own")
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Lost = Annotated[float, Field(ge=0, lt=1)]  # a share; without a rest nothing can be learned
Variance = Annotated[float, Field(ge=0, le=100)]
LatentDim = Annotated[int, Field(ge=2, le=784)]  # figures 9 and 10 need two, PCA has 784 pixels
Labels = Annotated[int, Field(ge=100, le=1_000_000)]  # of fewer the warm-up outlasts the epochs
Further = Annotated[int, Field(ge=3, le=784)]  # latents: two are the plane's
Plane = Annotated[int, Field(ge=2, le=2)]  # figures 11 and 12
Width = Annotated[int, Field(ge=1, le=65_536)]  # of a layer
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
Channels = Annotated[list[Width], Field(min_length=3, max_length=3)]
Optimizer = Literal["adam", "sgd"]
Bound = TypeVar("Bound", int, float)
Choice = TypeVar("Choice")


class Section(BaseModel):
    """A part of `params.yaml`: strict types, unknown keys refused, immutable."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class PrepareParams(Section):
    """Whether there are so many images, the stage says that has them."""

    dataset: str
    seed: Seed
    stratify: bool
    train: Count
    val: Count
    test: Count

    @field_validator("dataset")
    @classmethod
    def is_known_or_watched(cls, name: str) -> str:
        """A folder is where DVC sees a change in it."""
        place = PurePosixPath(name)
        if name in DATASETS or (
            place.is_relative_to(OWN_IMAGES) and place != OWN_IMAGES and ".." not in place.parts
        ):
            return name
        raise ValueError(
            f"{name} is none of {', '.join(DATASETS)}, and no folder in {OWN_IMAGES}, where DVC "
            "notices when images change"
        )


class Range(Section, Generic[Bound]):
    """A closed interval that is not empty."""

    low: Bound
    high: Bound

    @model_validator(mode="after")
    def is_not_empty(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the range is empty: low {self.low} is above high {self.high}")
        return self

    def __contains__(self, value: Bound) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


def distinct(choices: list[Choice]) -> list[Choice]:
    if twice := [choice for choice in choices if choices.count(choice) > 1]:
        raise ValueError(f"{twice[0]} stands there twice; name each choice once")
    return choices


Choices = Annotated[list[Choice], Field(min_length=1), AfterValidator(distinct)]


class SearchSpace(Section):
    """What the search may choose from."""

    latent_dim: Range[LatentDim]
    optimizer: Choices[Optimizer]
    lr: Range[LearningRate]
    batch_size: Choices[BatchSize]
    dropout: Range[Probability]
    channels: Choices[Channels]
    units: Choices[Width]


class ReportHyperparameters(Section):
    """What a search chooses; see `latent_digits.training.hyperparameters`."""

    latent_dim: LatentDim
    optimizer: Optimizer
    lr: LearningRate
    batch_size: BatchSize
    dropout: Lost
    channels: Channels
    units: Width


class TuneParams(Section):
    trials: Annotated[int, Field(ge=0, le=100_000)]
    generation: Count
    startup_trials: Annotated[int, Field(ge=0, le=100_000)]
    pruning_warmup: Count
    pruning_peers: Count
    epochs: Epochs
    space: SearchSpace
    report_hyperparameters: ReportHyperparameters


class Budget(Section):
    """What we are ready to pay for a training whose hyperparameters come from the search."""

    epochs: Epochs
    patience: Count


class FullRecipe(Budget):
    """A training whose optimizer is fixed here rather than searched for."""

    optimizer: Optimizer
    lr: LearningRate
    batch_size: BatchSize


class PlaneRecipe(FullRecipe):
    latent_dim: Plane


class DropoutRecipe(PlaneRecipe):
    dropout: Lost


class TrainAeParams(Section):
    ae: Budget
    ae_2d: DropoutRecipe
    latent_dims: Choices[Further]


class TrainVaeParams(Section):
    beta: Annotated[float, Field(gt=0, le=1000)]
    vae: FullRecipe
    vae_2d: PlaneRecipe


class FinetuneParams(Section):
    hidden: Width
    head: FullRecipe
    end_to_end: FullRecipe
    labels: Choices[Labels]


class NoiseLevels(Section):
    gaussian_mean: Annotated[float, Field(ge=-1, le=1)]
    gaussian_variance: Variance
    salt_pepper: Lost
    speckle_variance: Variance


class NoiseParams(Section):
    as_described: NoiseLevels
    as_coded: NoiseLevels
    figure_3: NoiseLevels


class EvaluateParams(Section):
    seed: Seed
    bootstrap_resamples: Annotated[int, Field(ge=100, le=100_000)]
    active_unit_variance: Annotated[float, Field(gt=0)]
    tsne_perplexity: Annotated[int, Field(ge=2, le=1000)]
    interpolation_steps: Annotated[int, Field(ge=2, le=50)]
    paths: Count
    denoised_images: Count
    noise_strengths: Choices[Annotated[float, Field(gt=0, le=10)]]


class PlotParams(Section):
    dpi: Annotated[int, Field(ge=50, le=600)]
    max_points: Count


class GateParams(Section):
    """A headline's direction, and how much worse it may become, in its own unit."""

    better: Literal["lower", "higher"]
    tolerance: Annotated[float, Field(ge=0)]


class FabricParams(Section):
    """How one training is spread; see `latent_digits.training.ranks`."""

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
    gate: dict[str, GateParams]


def load_params(path: Path = Path("params.yaml")) -> Params:
    """The validated parameters.

    Raises UserError with one line a fault: file, key, value found, value allowed.
    """
    try:
        values = yaml_files.read(path)
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing here; run from the project's top folder, or restore the file "
            f"with `git checkout {path}`."
        ) from None
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(described(path, error.errors()))) from None
    if found := list(conflicts(params)):
        raise UserError("\n".join(f"{path}: {conflict}" for conflict in found))
    return params


def described(path: Path, faults: list[Any]) -> Iterator[str]:
    """A line for each fault; a key that has another name now is not said to be missing besides."""
    keys = [".".join(map(str, fault["loc"])) for fault in faults]
    found = {renamed.PARAMETERS.get(key) for key in keys}
    for key, fault in zip(keys, faults, strict=True):
        if fault["type"] == "extra_forbidden" and key in renamed.PARAMETERS:
            yield now_named(path, key)
        elif not (fault["type"] == "missing" and key in found):
            yield describe(path, fault)


def now_named(path: Path, key: str) -> str:
    return f"{path}: {key} is called {renamed.PARAMETERS[key]} now; rename it there."


def conflicts(params: Params) -> Iterator[str]:
    """A line for each value that another one rules out. A search of no trials reads no space."""
    tune, train, val = params.tune, params.prepare.train, params.prepare.val
    unread = {"tune": {"space"}} if tune.trials == 0 else None
    values = dict(flatten(params.model_dump(exclude=unread)))
    latents = [("tune.report_hyperparameters.latent_dim", tune.report_hyperparameters.latent_dim)]
    if tune.trials:
        latents.append(("tune.space.latent_dim.high", tune.space.latent_dim.high))
    batches = [
        (key, size)
        for key, found in values.items()
        if key.endswith("batch_size")
        for size in (found if isinstance(found, list) else [found])
    ]
    labels = ("finetune.labels", max(params.finetune.labels))
    smallest, size = min(batches, key=lambda batch: batch[1])
    processes = params.fabric.devices * params.fabric.num_nodes
    perplexity = params.evaluate.tsne_perplexity
    strongest = max(params.evaluate.noise_strengths)
    share = strongest * params.noise.as_described.salt_pepper
    limits = [
        *((key, value, train, "prepare.train") for key, value in (*latents, *batches)),
        (*labels, train - 1, "one less than prepare.train: all labels are a training of their own"),
        ("tune.pruning_warmup", tune.pruning_warmup, tune.epochs, "tune.epochs"),
        ("fabric.devices × fabric.num_nodes", processes, size, smallest),
        ("evaluate.tsne_perplexity", perplexity, val - 1, "one less than prepare.val"),
        ("evaluate.noise_strengths × noise.as_described.salt_pepper", share, 1, "all pixels"),
    ]
    for key, found, most, limit in limits:
        if found > most:
            yield f"{key} is {found}; it should be at most {most} ({limit})."
    headlines = [one.name for one in METRICS]
    for name in params.gate:
        if name not in headlines:
            now = renamed.PARAMETERS.get(f"gate.{name}")
            yield f"gate.{name} is " + (
                f"called {now} now; rename it there."
                if now
                else f"no headline; these are {', '.join(headlines)}."
            )
    for name, found in tune.report_hyperparameters if tune.trials else ():
        allowed = getattr(tune.space, name)
        if found not in allowed:
            yield (
                f"tune.report_hyperparameters.{name} is {found}; the search starts there, so it "
                f"should be in tune.space.{name} ({allowed})."
            )


def describe(path: Path, fault: Any) -> str:
    """One line for one fault that pydantic found."""
    parts = (" ".join(str(part).split()) for part in fault["loc"])
    key = shortened(".".join(parts) or "the file")
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
            message = f"should name at least {fault['ctx']['min_length']}"
        case "bool_type":
            message = "should be true or false"
        case "invalid_key":
            message = "should have a name for its key"
    hint = ""
    if isinstance(found, str) and yaml_files.is_number(found):
        hint = " In quotes it is text: drop them."
    return f"{path}: {key} is {value}; it {message.removeprefix('Input ')}.{hint}"


def shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"

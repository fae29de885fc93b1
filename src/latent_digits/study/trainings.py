"""The study's trainings: which model is fitted to what, as calls that a worker can run.

Each returns the weights of the best validation epoch and the history. A training's seed names its
stage and variant; initial weights, batches, dropout, noise and sampling follow from it. Given a
checkpoint that it has reported, a training goes on after it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latent_digits import engine
from latent_digits.data.storage import Arrays
from latent_digits.models.architecture import REPORTS, Architecture
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
    parameter_count,
)
from latent_digits.models.objectives import (
    NegativeElbo,
    Objective,
    classification,
    measure,
    reconstruction,
)
from latent_digits.models.weights import arrays_of
from latent_digits.seeds import seed_for
from latent_digits.study.noise import Noise, corrupted
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.dead_units import dead_shares, has_dead_layer, live_neurons
from latent_digits.training.initialization import initialised
from latent_digits.training.loop import EpochMetrics, Pairs, Recipe, best_row, fit
from latent_digits.training.training_data import TrainingData, brightness, images_of, labels_of

Report = Callable[[Any], Any]  # gets each epoch's Checkpoint, and what must be said
VAE_WARMUP = 1000  # steps
ATTEMPTS = 5
AGAIN = 10
MANY_DEAD = 0.4  # of a layer's units: up to a third die in a good training


@dataclass(frozen=True)
class Trained:
    """A fitted model's weights by name, its history, and how many parameters were trained.

    `attempt` is 1 unless the training was degenerate before; see `trained`.
    """

    weights: Arrays
    history: list[EpochMetrics]
    trainable_parameters: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Training(ABC):
    """A model's training: a call that a worker can run, known by its fields."""

    latent_dim: int
    recipe: Recipe
    seed: int
    architecture: Architecture = REPORTS

    @property
    @abstractmethod
    def model(self) -> dict[str, Any]:
        """What kind of model it is."""

    @property
    def about(self) -> dict[str, Any]:
        """What it takes to build the model again; see `latent_digits.models.weights`."""
        return {**self.model, "latent_dim": self.latent_dim, **asdict(self.architecture)}

    @abstractmethod
    def __call__(
        self, data: TrainingData, checkpoint: Checkpoint | None, report: Report
    ) -> Trained:
        """The fitted model."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining(Training):
    """An autoencoder that reconstructs clean images, or given a noise, that removes it.

    The noise is new every epoch, and one draw for validation.
    """

    dropout: float
    noise: Noise | None = None

    @property
    def model(self) -> dict[str, Any]:
        return {"model": "autoencoder"}

    def __call__(
        self, data: TrainingData, checkpoint: Checkpoint | None, report: Report
    ) -> Trained:
        train, val = images_of(data)
        seen = corrupted(val, self.noise, seed_for(self.seed, "val-noise")) if self.noise else val
        pairs = Pairs(train, train), Pairs(seen, val)
        task = Task(reconstruction, *pairs, brightness(data), self.noise)
        build = partial(Autoencoder, self.latent_dim, self.dropout, self.architecture)
        return trained(build, task, self.recipe, self.seed, checkpoint, report)


@dataclass(frozen=True, kw_only=True)
class VaeTraining(Training):
    """A variational autoencoder, with a long warm-up.

    While the decoder knows nothing yet, a latent costs KL and is worth little. At Z = 2 and the
    report's learning rate two of eleven trainings lost one for good, a third both for three epochs;
    with a warm-up of 1,000 steps none of five did (other seeds than the study's).
    """

    beta: float = 1.0  # the KL's weight

    @property
    def model(self) -> dict[str, Any]:
        return {"model": "variational_autoencoder"}

    def __call__(
        self, data: TrainingData, checkpoint: Checkpoint | None, report: Report
    ) -> Trained:
        recipe = replace(self.recipe, warmup=VAE_WARMUP)
        train, val = images_of(data)
        objective = NegativeElbo(self.beta)
        task = Task(objective, Pairs(train, train), Pairs(val, val), brightness(data))
        build = partial(VariationalAutoencoder, self.latent_dim, self.architecture)
        return trained(build, task, recipe, self.seed, checkpoint, report)


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining(Training):
    """A classifier with nothing frozen, from random weights.

    It learns from so many `labels`, see `of_few_labels`, or from all.
    """

    hidden: int
    dropout: float
    classes: int = 10
    labels: int | None = None

    @property
    def model(self) -> dict[str, Any]:
        return {"model": "classifier", "hidden": self.hidden, "classes": self.classes}

    def __call__(
        self, data: TrainingData, checkpoint: Checkpoint | None, report: Report
    ) -> Trained:
        train, val = map(Pairs, images_of(data), labels_of(data))
        train = of_few_labels(train, self.labels, self.seed)
        task = Task(classification, train, val, brightness(data))
        return trained(self.build, task, self.recipe, self.seed, checkpoint, report)

    def build(self) -> Classifier:
        encoder = Encoder(self.latent_dim, self.dropout, self.architecture)
        return Classifier(encoder, Head(self.latent_dim, self.hidden, self.classes))


@dataclass(frozen=True, kw_only=True)
class HeadTraining(Training):
    """The same classifier on a frozen encoder: the one given, or without weights an untrained one.

    The encoder stays in eval mode, so what it says of an image never changes: computed once. The
    head is trained on standardized latents, and returned for latents as they come. It learns from
    so many `labels`, or from all; mean and deviation are of all images.
    """

    hidden: int
    encoder_weights: Arrays | None
    classes: int = 10
    labels: int | None = None

    @property
    def model(self) -> dict[str, Any]:
        return {"model": "classifier", "hidden": self.hidden, "classes": self.classes}

    def __call__(
        self, data: TrainingData, checkpoint: Checkpoint | None, report: Report
    ) -> Trained:
        encoder = self.encoder(brightness(data))
        train_images, val_images = images_of(data)
        train_labels, val_labels = labels_of(data)
        encoder.to(train_images.device)
        latents = features(encoder, train_images)
        mean, deviation = latents.mean(0), latents.std(0)
        # One that hardly changes: scaled up, and back down in the head, it would be all rounding.
        deviation[deviation < 1e-4 * (1 + mean.abs())] = 1.0
        train = Pairs((latents - mean) / deviation, train_labels)
        train = of_few_labels(train, self.labels, self.seed)
        val = Pairs((features(encoder, val_images) - mean) / deviation, val_labels)
        task = Task(classification, train, val, brightness(data))
        build = partial(Head, self.latent_dim, self.hidden, self.classes)
        head = trained(build, task, self.recipe, self.seed, checkpoint, report)
        raw_head = for_raw_latents(head.weights, mean.cpu().numpy(), deviation.cpu().numpy())
        weights = {f"head.{name}": value for name, value in raw_head.items()}
        weights |= {f"encoder.{name}": value for name, value in arrays_of(encoder).items()}
        return replace(head, weights=weights)

    def encoder(self, brightness: float) -> nn.Module:
        build = partial(Encoder, self.latent_dim, 0.0, self.architecture)
        encoder = initialised(seed_for(self.seed, "encoder"), build, brightness)
        if self.encoder_weights is not None:
            encoder.load_state_dict(
                {name: torch.from_numpy(value) for name, value in self.encoder_weights.items()}
            )
        return engine.accelerate(encoder).requires_grad_(False).eval()


def of_few_labels(pairs: Pairs, count: int | None, seed: int) -> Pairs:
    """Pairs of which only `count` differ, in equal shares of the labels, int64 [N].

    An epoch has each of them AGAIN times, but never more than all pairs: so that it is long enough
    for the budgets of params.yaml to be enough, and short enough for early stopping to meet what
    few labels are overfitted in. Of more labels the fewer are a part.
    """
    if count is None:
        return pairs
    order = np.random.default_rng(seed_for(seed, "labels")).permutation(len(pairs.targets))
    labels = pairs.targets.cpu().numpy()[order]
    turn = np.empty(len(labels), int)  # each label's first, then each one's second, and so on
    for label in range(labels.max() + 1):
        turn[labels == label] = np.arange((labels == label).sum())
    chosen = order[turn.argsort(kind="stable")[:count]]
    chosen = np.resize(chosen, min(AGAIN * count, len(labels)))
    chosen = torch.from_numpy(chosen).to(pairs.targets.device)
    return Pairs(pairs.inputs[chosen], pairs.targets[chosen])


def for_raw_latents(head: Arrays, mean: np.ndarray, deviation: np.ndarray) -> Arrays:
    """A head for standardized latents as one for raw latents: its first layer takes in both."""
    weight = head["0.weight"] / deviation
    return head | {
        "0.weight": weight,
        "0.bias": head["0.bias"] - weight @ mean,
    }


@dataclass(frozen=True)
class Task:
    """What a model is to learn, and from which pairs.

    `brightness` is what images that a model makes begin with.
    """

    objective: Objective
    train: Pairs
    val: Pairs
    brightness: float
    corrupt: Noise | None = None

    @cached_property
    def constant_loss(self) -> float:
        """The validation loss that a model must beat to have learned anything."""
        targets = (pairs.targets.cpu().numpy() for pairs in (self.train, self.val))
        return self.objective.constant_loss(*targets)


class DegenerateError(Exception):
    """A model that is no better than a constant answer, from whatever initial weights."""


def trained(
    build: Callable[[], nn.Module],
    task: Task,
    recipe: Recipe,
    seed: int,
    checkpoint: Checkpoint | None,
    report: Report,
) -> Trained:
    """The result of `fit`, in a form that can be sent and stored.

    A large learning rate can kill most units in the first steps, less often with a warm-up; the
    model then answers the same to every input. A training that had its chance and is no better than
    a constant answer is started again from other weights, and the result says how often. Raises
    DegenerateError after ATTEMPTS of them. Of one whose epochs were too few for a chance a warning
    is reported.
    """
    for attempt in range(checkpoint.attempt if checkpoint else 1, ATTEMPTS + 1):
        attempt_seed = seed_for(seed, "attempt", attempt)
        model = engine.accelerate(initialised(attempt_seed, build, task.brightness))
        if attempt == 1 and not checkpoint and (left := engine.left_to_pytorch(model)):
            report(f"PyTorch's own layers compute {left}")
        history = fit(
            model,
            task.objective,
            task.train,
            task.val,
            recipe,
            attempt_seed,
            task.corrupt,
            stop=partial(is_degenerate, task=task, recipe=recipe),
            checkpoint=checkpoint if checkpoint and checkpoint.attempt == attempt else None,
            on_epoch=partial(report_attempt, report, attempt),
        )
        losses = (
            f"validation loss {best_row(history)['val_loss']:.4g}, a constant answer has "
            f"{task.constant_loss:.4g}"
        ) + (", and a layer has no live unit" if has_dead_layer(best_row(history)) else "")
        if is_degenerate(history, task, recipe):
            report(f"degenerate in attempt {attempt} of {ATTEMPTS}: {losses}")
            continue
        for warning in dead_unit_warnings(model, best_row(history)):
            report(warning)
        if failed_to_learn(history, task):
            warm = recipe.warm_epoch(len(task.train.inputs))
            report(
                f"too short to tell whether it learns: {losses}, after epoch {len(history)} with a "
                f"learning rate that rises until epoch {warm}; raise epochs or lower batch_size in "
                "params.yaml."
            )
        return Trained(arrays_of(model), history, parameter_count(model), attempt)
    raise DegenerateError(
        f"no better than a constant answer after {ATTEMPTS} attempts, learning rate {recipe.lr}"
    )


def report_attempt(report: Report, attempt: int, checkpoint: Checkpoint) -> None:
    report(replace(checkpoint, attempt=attempt))


def is_degenerate(history: list[EpochMetrics], task: Task, recipe: Recipe) -> bool:
    """Whether a model had its chance, and answers the same to every input all the same.

    Its chance is as many epochs after the warm-up as its patience.
    """
    since = len(history) - recipe.warm_epoch(len(task.train.inputs))
    return since >= recipe.patience and failed_to_learn(history, task)


def dead_unit_warnings(model: nn.Module, row: EpochMetrics) -> Iterator[str]:
    """Warnings of the units that are dead in the epoch whose weights are kept."""
    lost = {layer: share for layer, share in dead_shares(row).items() if share > MANY_DEAD}
    if lost:
        shares = ", ".join(f"{100 * share:.0f} % of {layer}" for layer, share in lost.items())
        yield (
            f"many dead units, which answer to no validation image: {shares}; a lower learning "
            "rate loses fewer"
        )
    if isinstance(model, Autoencoder):
        live, latents = live_neurons(model, row), model.latent_dim
        if live is not None and live < latents:
            yield (
                f"the bottleneck is lost: {live} live units carry {latents} latents, which then "
                "depend on each other; lower the learning rate or latent_dim"
            )


def failed_to_learn(history: list[EpochMetrics], task: Task) -> bool:
    """Whether no epoch was better than a constant answer, or the best one has a dead layer."""
    best = best_row(history)
    return best["val_loss"] >= task.constant_loss or has_dead_layer(best)


def features(encoder: nn.Module, images: Tensor) -> Tensor:
    """The encoder's latents of all images, [N, Z]."""
    return measure(encoder, lambda model, x, _: {"z": model(x)}, images, images, seed=0)["z"]

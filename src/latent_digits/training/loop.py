"""The one training loop: the search and every training stage call `fit`, so they cannot drift."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from latent_digits import engine
from latent_digits.console import UserError
from latent_digits.engine.draws import Share, sliced
from latent_digits.engine.functional import add_total, pixels
from latent_digits.models.objectives import Objective, measure
from latent_digits.seeds import seed_for
from latent_digits.training import ranks
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.cores import seated
from latent_digits.training.cuda_graphs import Replayed, Take
from latent_digits.training.dead_units import Units
from latent_digits.training.optimizers import WARMUP, Number, Optimization, clone, copy
from latent_digits.training.repeated import Repeated

EpochMetrics = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """How to train: what steps, how many images a step, how long, and when to give up.

    The learning rate rises over the first `warmup` steps. Training ends after `patience` epochs in
    a row without a better validation loss, counted from the end of the warm-up.
    """

    optimizer: str
    lr: float
    batch_size: int
    epochs: int
    patience: int
    warmup: int = WARMUP

    def warm_epoch(self, images: int) -> int:
        """The epoch in which the warm-up ends, where one has so many images."""
        return math.ceil(self.warmup / math.ceil(images / self.batch_size))


@dataclass(frozen=True)
class Pairs:
    """What goes in and what should come out: [N, ...] each; images may stay uint8."""

    inputs: Tensor
    targets: Tensor


class DivergedError(Exception):
    """The loss is not finite; the text names epoch and learning rate."""


def fit(
    model: nn.Module,
    objective: Objective,
    train: Pairs,
    val: Pairs,
    recipe: Recipe,
    seed: int,
    corrupt: Callable[[Tensor], Tensor] | None = None,
    stop: Callable[[list[EpochMetrics]], bool] = lambda history: False,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[Checkpoint], Any] = lambda checkpoint: None,
) -> list[EpochMetrics]:
    """Train `model` and leave it with the averaged weights of its best validation epoch.

    Returns the history, a row an epoch: epoch, then train_* (over the epoch, while the weights
    move) and val_* (after it, of the averaged weights) for each of the objective's values, and
    dead_*, the share of a layer's units that answer to no validation image then.
    `corrupt` is applied to each batch of training inputs. The training ends early when `stop` says
    so of its history. Raises DivergedError when a loss is not finite.

    `on_epoch` gets a checkpoint after each epoch; given one, the training goes on after it. Every
    epoch draws from a seed of its own, so the result is the same to the bit.

    Where several processes share the training, each calls this with the same arguments and gets
    the same result; see `latent_digits.training.ranks`.
    """
    device, here = train.inputs.device, ranks.current()
    engine.accelerate(model.to(device))
    optimization = Optimization(model, recipe.optimizer, recipe.lr, recipe.warmup)
    steps = Steps(model, objective, train, recipe.batch_size, optimization, corrupt)

    history: list[EpochMetrics] = []
    best = clone(optimization.weights)
    if checkpoint:
        history += checkpoint.history
        saved = {name: torch.from_numpy(array) for name, array in checkpoint.arrays.items()}
        optimization.load_state_dict(saved)
        copy(best, {name: saved[f"best.{name}"] for name in best})
    with seated() as cores:
        while not (over(history, recipe, len(train.inputs)) or stop(history)):
            epoch = len(history) + 1
            torch.manual_seed(seed_for(seed, "epoch", epoch))
            means = steps.epoch(cores.share) if train.inputs.is_cpu else steps.epoch()
            units = Units(model)
            for buffer in optimization.buffers():
                here.average(buffer)
            with optimization.average.in_place(), here.autocast(), units.watched():
                pairs, batches = (val.inputs, val.targets), slice(here.rank, None, here.processes)
                values = measure(model, objective, *pairs, seed_for(seed, "val"), batches)
            sums = {name: value.sum(dtype=torch.float64) for name, value in values.items()}
            row: EpochMetrics = {"epoch": epoch}
            row |= {f"train_{name}": mean for name, mean in means.items()}
            row |= {
                f"val_{name}": total / len(val.inputs)
                for name, total in here.sums(sums, means).items()
            }
            row |= units.dead()
            if not math.isfinite(row["train_loss"] + row["val_loss"]):
                raise DivergedError(
                    f"the loss is not finite at epoch {epoch}, learning rate {recipe.lr}"
                )
            history.append(row)
            if best_row(history) is row:
                copy(best, optimization.average.values)
            state = optimization.state_dict() | {
                f"best.{name}": value for name, value in best.items()
            }
            arrays = {name: tensor.cpu().numpy().copy() for name, tensor in state.items()}
            on_epoch(Checkpoint(arrays, list(history)))
    copy(optimization.weights, best)
    return history


def over(history: list[EpochMetrics], recipe: Recipe, images: int) -> bool:
    """Whether all epochs are done, or the last `patience` of them brought nothing better."""
    epoch = len(history)
    best = best_row(history)["epoch"] if history else 0
    # A loss that stands still while the learning rate is a share of the one asked for says nothing
    # of that one: with few images the warm-up lasts many epochs, at the start of which none learns.
    since = max(best, recipe.warm_epoch(images))
    return epoch >= recipe.epochs or epoch - since >= recipe.patience


class Steps:
    """The steps of a training: each forwards, backwards, and along the gradients of a batch.

    On a GPU they are recorded and replayed, see `latent_digits.training.cuda_graphs`.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        train: Pairs,
        batch_size: int,
        optimization: Optimization,
        corrupt: Callable[[Tensor], Tensor] | None = None,
    ):
        self.model, self.objective, self.train = model, objective, train
        self.batch_size, self.optimization, self.corrupt = batch_size, optimization, corrupt
        self.totals: dict[str, Tensor] = {}
        self.gradients: dict[Any, Tensor] = {}  # of the losses
        self.ranks = ranks.current()
        if self.ranks.processes > min(batch_size, len(train.inputs)):
            raise UserError(
                f"{self.ranks.processes} processes cannot share batches of {batch_size} images, of "
                f"{len(train.inputs)}; lower fabric.devices or fabric.num_nodes in params.yaml."
            )
        device = train.inputs.device
        self.take: Take = self.learn
        if device.type == "cuda":
            self.take = Replayed(self.learn, batch_size, device)
        self.repeated: Repeated | None = None
        if device.type == "cpu" and self.ranks.processes == 1:
            self.repeated = Repeated(self.differentiate, self.sums)

    def epoch(self, on_step: Callable[[], Any] = lambda: None) -> dict[str, float]:
        """One pass over the images in random order; the mean of each of the objective's values.

        Nothing is read back from the device before the end of the pass. `on_step` is called before
        each step.
        """
        self.model.train()
        for total in self.totals.values():
            total.zero_()
        inputs = self.train.inputs
        batches = torch.randperm(len(inputs), device=inputs.device).split(self.batch_size)
        if self.repeated:
            self.repeated.begin(len(batches), engine.is_repeatable(self.model))
        for batch in batches:
            on_step()
            self.take(batch, self.optimization.next())
        if self.repeated:
            self.repeated.end()
        sums = self.ranks.sums(self.totals, self.totals)
        return {name: total / len(inputs) for name, total in sums.items()}

    def learn(self, batch: Tensor, numbers: Sequence[Number]) -> None:
        """A step on the images at `batch`, with the numbers of `Optimization.next`."""
        (self.repeated or self.differentiate)(batch)
        self.ranks.add_up(self.optimization.flat.gradients)
        self.optimization.update(numbers)

    def differentiate(self, batch: Tensor) -> None:
        """Add this process's share of the gradients of a batch, and of its values."""
        part = self.ranks.slice(len(batch))
        if part.start < part.stop:  # an epoch's last batch may be too small for all processes
            with sliced(Share(part.start, len(batch))), self.ranks.autocast():
                self.backward(batch[part], 1 / len(batch))

    def sums(self) -> list[Tensor]:
        """What `differentiate` adds to."""
        return [self.optimization.flat.gradients, *self.totals.values()]

    def backward(self, batch: Tensor, weight: float) -> None:
        """Add the gradients of the images at `batch`, each with `weight`, and their values."""
        inputs, targets = self.train.inputs, self.train.targets
        x = pixels(inputs, batch)
        target = x if targets is inputs else pixels(targets, batch)
        x = x if self.corrupt is None else self.corrupt(x)
        with engine.adding():
            values = self.objective(self.model, x, target)
            values["loss"].backward(self.gradient_of(values["loss"], weight))
        for name, value in values.items():
            if name not in self.totals:
                self.totals[name] = value.new_zeros((), dtype=torch.float64)
            add_total(value.detach(), self.totals[name])

    def gradient_of(self, loss: Tensor, weight: float) -> Tensor:
        """The gradient of a batch's `loss`, [B]: of each image the same."""
        key = loss.shape, weight, loss.dtype
        if key not in self.gradients:
            self.gradients[key] = torch.full_like(loss, weight)
        return self.gradients[key]


def best_so_far(losses: Iterable[float]) -> list[float]:
    """The least loss up to each epoch."""
    return list(accumulate(losses, min))


def best_row(history: list[EpochMetrics]) -> EpochMetrics:
    """The row of the epoch whose weights `fit` kept."""
    return min(history, key=lambda row: row["val_loss"])

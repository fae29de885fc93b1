"""What a model is asked to do: a model, its input and its target to named values, one an image.

The value called "loss" is the one that training descends (averaged over the batch) and that early
stopping watches; the others are measured beside it. Variants are composed of these, never copied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from latent_digits import engine
from latent_digits.engine.draws import seed_draws
from latent_digits.engine.functional import pixels
from latent_digits.models import losses
from latent_digits.seeds import seed_for

Values = dict[str, Tensor]
Measure = Callable[[nn.Module, Tensor, Tensor], Values]

EVAL_BATCH = 200  # images; larger ones fall out of the cache and are slower


class Objective(Protocol):
    """A measure with a loss, and the baseline by which a training that learned nothing is told."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, /) -> Values: ...

    def constant_loss(self, train: np.ndarray, val: np.ndarray) -> float:
        """The loss on the targets `val` of the best answer to `train` that ignores its input."""
        ...


class Reconstruction:
    """The autoencoder's and the denoiser's: MSE over pixels against the (clean) target."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor) -> Values:
        return {"loss": losses.mean_squared_error(model(x), target)}

    def constant_loss(self, train: np.ndarray, val: np.ndarray) -> float:
        """That of the mean image. Images are uint8, or floats in [0, 1]."""
        white = 255 if val.dtype == np.uint8 else 1
        mean = train.mean(axis=0, dtype=np.float64)
        return float(((val - mean) ** 2).mean() / white**2)


@dataclass(frozen=True)
class NegativeElbo:
    """The VAE's: squared error + beta · KL, each summed.

    The original report weighs them 1:1 (section 3.1); another weight is that of Higgins et al.
    2017, "beta-VAE".
    """

    beta: float = 1.0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor) -> Values:
        x_hat, mu, log_var = model(x)
        squared_error = losses.squared_error(x_hat, target)
        kl = losses.kl_divergence(mu, log_var)
        loss = torch.add(squared_error, kl, alpha=self.beta)
        return {"loss": loss, "squared_error": squared_error, "kl": kl}

    def constant_loss(self, train: np.ndarray, val: np.ndarray) -> float:
        """That of the mean image, and no KL."""
        return reconstruction.constant_loss(train, val) * val[0].size


class Classification:
    """The classifiers': cross-entropy, with the share of right answers beside it."""

    def __call__(self, model: nn.Module, x: Tensor, labels: Tensor) -> Values:
        logits = model(x)
        return {
            "loss": losses.cross_entropy(logits, labels),
            "accuracy": losses.accuracy(logits, labels),
        }

    def constant_loss(self, train: np.ndarray, val: np.ndarray) -> float:
        """That of the labels' shares."""
        shares = np.bincount(train, minlength=val.max() + 1) / len(train)
        return float(-np.log(np.maximum(shares, 1e-12))[val].mean())


reconstruction, negative_elbo, classification = Reconstruction(), NegativeElbo(), Classification()


@torch.no_grad()
def measure(
    model: nn.Module,
    values_of: Measure,
    inputs: Tensor,
    targets: Tensor,
    seed: int,
    batches: slice = slice(None),
) -> Values:
    """The values of a measure for every image, [N] each, with the model in eval mode.

    `seed` fixes what the model samples, so that the same weights always give the same values. Of
    only some `batches` of EVAL_BATCH images the values are the same; of no batch there are none.
    Raises ValueError where inputs and targets are not as many.
    """
    if len(inputs) != len(targets):
        raise ValueError(f"{len(inputs)} inputs have {len(targets)} targets, not one each")
    model.eval()
    both = (inputs,) if targets is inputs else (inputs, targets)
    starts = range(0, max(len(inputs), 1), EVAL_BATCH)[batches]
    groups = [tuple(one[start : start + EVAL_BATCH] for one in both) for start in starts]

    def seed_batch(n: int) -> None:
        seed_draws(seed_for(seed, starts[n] // EVAL_BATCH), inputs.device)

    def values(*batch: Tensor) -> Values:
        x, *target = (pixels(one) for one in batch)
        return values_of(model, x, *target or [x])

    repeatable = inputs.is_cpu and engine.is_repeatable(model)
    parts = engine.each_of(groups, values, seed_batch, repeatable, engine.noted(model))
    names = parts[0] if parts else ()
    return {name: torch.cat([part[name] for part in parts]) for name in names}

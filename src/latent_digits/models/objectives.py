"""What a model is asked to do: a model, its input and its target to named values, one an image.

The value called "loss" is the one that training descends (averaged over the batch) and that early
stopping watches; the others are measured beside it. Variants are composed of these, never copied.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_digits.engine.functional import pixels
from latent_digits.models import losses
from latent_digits.seeds import seed_for

Values = dict[str, Tensor]
Objective = Callable[[nn.Module, Tensor, Tensor], Values]

EVAL_BATCH = 200  # images; larger ones fall out of the cache and are slower


def reconstruction(model: nn.Module, x: Tensor, target: Tensor) -> Values:
    """The autoencoder's and the denoiser's: MSE over pixels against the (clean) target."""
    return {"loss": losses.mean_squared_error(model(x), target)}


def negative_elbo(model: nn.Module, x: Tensor, target: Tensor) -> Values:
    """The VAE's: squared error + KL, each summed, weighed 1:1 (the report's section 3.1)."""
    x_hat, mu, log_var = model(x)
    squared_error = losses.squared_error(x_hat, target)
    kl = losses.kl_divergence(mu, log_var)
    return {"loss": squared_error + kl, "squared_error": squared_error, "kl": kl}


def classification(model: nn.Module, x: Tensor, labels: Tensor) -> Values:
    """The classifiers': cross-entropy, with the share of right answers beside it."""
    logits = model(x)
    return {
        "loss": losses.cross_entropy(logits, labels),
        "accuracy": losses.accuracy(logits, labels),
    }


@torch.no_grad()
def measure(
    model: nn.Module,
    objective: Objective,
    inputs: Tensor,
    targets: Tensor,
    seed: int,
    batches: slice = slice(None),
) -> Values:
    """The objective's values for every image, [N] each, with the model in eval mode.

    `seed` fixes what the model samples, so that the same weights always give the same values. Of
    only some `batches` of EVAL_BATCH images the values are the same; of none there are none.
    """
    model.eval()
    pairs = zip(inputs.split(EVAL_BATCH), targets.split(EVAL_BATCH), strict=True)
    parts = []
    for number, (x, target) in list(enumerate(pairs))[batches]:
        torch.manual_seed(seed_for(seed, number))
        parts.append(objective(model, pixels(x), pixels(target)))
    names = parts[0] if parts else ()
    return {name: torch.cat([part[name] for part in parts]) for name in names}

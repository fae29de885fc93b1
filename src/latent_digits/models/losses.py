"""Losses as pure functions: one value an image, [B]; what is summed or averaged is in the name.

x image, x_hat reconstruction, both [B, 1, H, W]; mu and log_var [B, Z]. Raises ValueError where
two that must be of one shape are not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_digits.engine import functional


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error summed over the pixels: the original report's term for the VAE."""
    expect_equal("x_hat", x_hat, "x", x)
    return functional.squared_error(x_hat, x)


def mean_squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error averaged over the pixels: the original report's MSE."""
    expect_equal("x_hat", x_hat, "x", x)
    return functional.squared_error(x_hat, x, 1 / x.shape[1:].numel())


def kl_divergence(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL[N(mu, exp(log_var)) || N(0, 1)] summed over the latents, in nats.

    Kingma & Welling 2014, appendix B.
    """
    expect_equal("mu", mu, "log_var", log_var)
    return functional.kl_divergence(mu, log_var)


def expect_equal(name: str, one: Tensor, other_name: str, other: Tensor) -> None:
    """Raise ValueError unless both have one shape, which would be broadcast."""
    if one.shape != other.shape:
        raise ValueError(
            f"{name} is {tuple(one.shape)} and {other_name} {tuple(other.shape)}; they must be of "
            "one shape"
        )


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of the labels, in nats."""
    return F.cross_entropy(logits, labels, reduction="none")


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the largest logit is the label's, else 0."""
    return (logits.argmax(1) == labels).to(torch.float32)

"""Losses as pure functions: one value an image, [B]; what is summed or averaged is in the name.

x image, x_hat reconstruction, both [B, 1, H, W]; mu and log_var [B, Z]. Raises ValueError where
two that must be of one shape are not.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from latent_digits.engine import kernels
from latent_digits.engine.stack import as_array, has_kernel


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error summed over the pixels: the report's reconstruction term for the VAE."""
    return scaled_error(x_hat, x, 1.0)


def mean_squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error averaged over the pixels: the report's MSE."""
    return scaled_error(x_hat, x, 1 / x[0].numel())


def expect_equal(name: str, one: Tensor, other_name: str, other: Tensor) -> None:
    """Raise ValueError unless both have one shape: compiled code looks at none."""
    if one.shape != other.shape:
        raise ValueError(
            f"{name} is {tuple(one.shape)} and {other_name} {tuple(other.shape)}; they must be of "
            "one shape"
        )


def scaled_error(x_hat: Tensor, x: Tensor, scale: float) -> Tensor:
    """Squared error summed over the pixels, times `scale`."""
    expect_equal("x_hat", x_hat, "x", x)
    if has_kernel(x_hat):
        return ScaledError.apply(x_hat, x, scale)
    return F.mse_loss(x_hat, x, reduction="none").flatten(1).sum(1) * scale


class ScaledError(torch.autograd.Function):
    """`scaled_error` on the CPU; `x` is data and gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x_hat: Tensor, x: Tensor, scale: float) -> Tensor:
        ctx.given = as_array(x_hat), as_array(x), np.float32(scale)
        ctx.shape = x_hat.movedim(0, -1).shape
        out = x_hat.new_empty(len(x))
        kernels.squared_error(*ctx.given, out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        out = gradients[0].new_empty(ctx.shape).movedim(-1, 0)
        of_each = gradients[0].contiguous().numpy()
        kernels.squared_error_vjp(as_array(out), of_each, *ctx.given)
        return out, None, None


def kl_divergence(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL[N(mu, exp(log_var)) || N(0, 1)] summed over the latents, in nats.

    Kingma & Welling 2014, appendix B.
    """
    expect_equal("mu", mu, "log_var", log_var)
    if has_kernel(mu):
        return KLDivergence.apply(mu, log_var)
    return torch.addcmul(log_var.expm1() - log_var, mu, mu).sum(1).mul(0.5)


class KLDivergence(torch.autograd.Function):
    """`kl_divergence` on the CPU."""

    @staticmethod
    def forward(ctx: Any, mu: Tensor, log_var: Tensor) -> Tensor:
        ctx.given = as_array(mu), as_array(log_var)
        out = mu.new_empty(len(mu))
        kernels.kl_divergence(*ctx.given, out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        out = gradients[0].new_empty(2, *ctx.given[0].shape)
        of_each = gradients[0].contiguous().numpy()
        kernels.kl_divergence_vjp(out.numpy(), of_each, *ctx.given)
        return out[0].t(), out[1].t()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of the labels, in nats."""
    return F.cross_entropy(logits, labels, reduction="none")


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the largest logit is the label's, else 0."""
    return (logits.argmax(1) == labels).to(torch.float32)

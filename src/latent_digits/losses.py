"""Losses as pure functions: one value an image, [B]; what is summed or averaged is in the name.

x image, x_hat reconstruction, both [B, 1, H, W]; mu and log_var [B, Z].
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from latent_digits import kernels
from latent_digits.stack import batch_last, has_kernel


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error summed over the pixels: the report's reconstruction term for the VAE."""
    if has_kernel(x_hat):
        return SquaredError.apply(x_hat, x)
    return F.mse_loss(x_hat, x, reduction="none").flatten(1).sum(1)


class SquaredError(torch.autograd.Function):
    """`squared_error` on the CPU; `x` is data and gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x_hat: Tensor, x: Tensor) -> Tensor:
        ctx.shape = x_hat.movedim(0, -1).shape
        ctx.pair = [batch_last(tensor).view(-1, len(x)) for tensor in (x_hat, x)]
        out = x_hat.new_empty(len(x))
        kernels.squared_error(*(tensor.numpy() for tensor in (*ctx.pair, out)))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        out = torch.empty_like(ctx.pair[0])
        of_each = gradients[0].contiguous()
        kernels.squared_error_vjp(*(tensor.numpy() for tensor in (of_each, *ctx.pair, out)))
        return out.view(ctx.shape).movedim(-1, 0), None


def mean_squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error averaged over the pixels: the report's MSE."""
    return squared_error(x_hat, x) / x[0].numel()


def kl_divergence(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL[N(mu, exp(log_var)) || N(0, 1)] summed over the latents, in nats.

    Kingma & Welling 2014, appendix B.
    """
    return KLDivergence.apply(mu, log_var)


class KLDivergence(torch.autograd.Function):
    """`kl_divergence` with its derivative, in a third of the operations that autograd takes."""

    @staticmethod
    def forward(ctx: Any, mu: Tensor, log_var: Tensor) -> Tensor:
        variance_minus_1 = log_var.expm1()
        ctx.save_for_backward(mu, variance_minus_1)
        return torch.addcmul(variance_minus_1 - log_var, mu, mu).sum(1).mul_(0.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        mu, variance_minus_1 = ctx.saved_tensors
        gradient = gradients[0][:, None]
        return mu * gradient, variance_minus_1 * (0.5 * gradient)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of the labels, in nats."""
    return F.cross_entropy(logits, labels, reduction="none")


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the largest logit is the label's, else 0."""
    return (logits.argmax(1) == labels).to(torch.float32)

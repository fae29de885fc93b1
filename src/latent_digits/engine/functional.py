"""Kernels as functions of tensors, each beside the same in PyTorch's operations.

The kernel computes where `switch.takes` says so: plain float32 tensors on the CPU. Both draw the
same numbers, and tests hold both equal. B batch, F features, P pixels, Z latent.
"""

from functools import cache
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_digits.engine import kernels
from latent_digits.engine.autograd import first_order
from latent_digits.engine.draws import LEVELS, draw_keys, draw_levels, normal_levels, share_of
from latent_digits.engine.memory import batch_last
from latent_digits.engine.recording import launch
from latent_digits.engine.switch import is_off, takes


def pixels(stored: Tensor, index: Tensor | None = None) -> Tensor:
    """Stored pixels, uint8 in [0, 255], as floats in [0, 1]; other tensors as they are.

    All of them, or those at `index`, integers [B] or a mask. Pixels keep their shape [B, ...], but
    lie batch-last in memory as activations do, so that network and loss read them without another
    copy.
    """
    if stored.dtype != torch.uint8:
        return stored if index is None else stored[index]
    if is_off() or not stored.is_cpu:
        images = stored if index is None else stored[index]
        return images.movedim(0, -1).contiguous().to(torch.float32).div_(255).movedim(-1, 0)
    if index is None:
        index = torch.arange(len(stored), device="cpu")
    if index.dtype == torch.bool:
        index = index.nonzero()[:, 0]
    index = index.to("cpu", torch.int64).contiguous()
    out = torch.empty(*stored.shape[1:], len(index), dtype=torch.float32, device="cpu")
    size = len(stored), prod(stored.shape[1:]), len(index)
    launch(kernels.pixels_batch_last, *size, stored.contiguous(), index, out)
    return out.movedim(-1, 0)


def noisy(x: Tensor, speckle: float, salt_pepper: float, mean: float, gaussian: float) -> Tensor:
    """`x` [B, ...] with speckle, salt & pepper and Gaussian noise, each clipped to [0, 1].

    `speckle` and `gaussian` are standard deviations; a share `salt_pepper` of the pixels becomes 0
    or 1. A normal number is one of 65,536 quantiles, see `draws.normal_levels`.
    """
    shares = round(salt_pepper / 2 * LEVELS)  # of salt and of pepper, a multiple of 2^-16
    of_x = batch_last(x)
    if takes(x):
        out, size = torch.empty_like(of_x), (prod(x.shape[1:]), len(x))
        draws = draw_keys(1), *share_of(len(x)), normal_levels()
        launch(kernels.noisy, *size, of_x, out, *draws, speckle, shares, mean, gaussian)
        return out.movedim(-1, 0)
    levels = draw_levels((3, *of_x.shape), x)
    y = (of_x * speckle).mul_(normal(levels[0], x)).add_(of_x).clamp_(0, 1)
    y.masked_fill_(levels[1] < shares - LEVELS // 2, 0.0)
    y.masked_fill_(levels[1] > LEVELS // 2 - 1 - shares, 1.0)
    return normal(levels[2], x).mul_(gaussian).add_(mean).add_(y).clamp_(0, 1).movedim(-1, 0)


def normal(levels: Tensor, x: Tensor) -> Tensor:
    """The quantiles of N(0, 1) at `levels`, in the number format of `x`."""
    return normal_table(x.device, x.dtype)[levels.int() + LEVELS // 2]


@cache
def normal_table(device: torch.device, dtype: torch.dtype) -> Tensor:
    """`draws.normal_levels` where it is needed; a recorded step on a GPU cannot copy it there."""
    return torch.from_numpy(normal_levels()).to(device, dtype)


def normal_sample(mu: Tensor, log_var: Tensor) -> Tensor:
    """A draw from N(mu, exp(log_var)), [B, Z] each, with its derivative by both.

    The reparametrization trick of Kingma & Welling 2014.
    """
    if takes(mu) and takes(log_var):
        return NormalSample.apply(mu, log_var)
    n = normal(draw_levels((mu.shape[1], len(mu)), mu), mu)
    return mu + n.movedim(-1, 0) * log_var.mul(0.5).exp()


class NormalSample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mu: Tensor, log_var: Tensor) -> Tensor:
        mu, log_var = batch_last(mu), batch_last(log_var)
        ctx.offset, out = torch.empty_like(mu), torch.empty_like(mu)
        draws = draw_keys(1), *share_of(mu.shape[1]), normal_levels()
        launch(kernels.sample, *mu.shape, mu, log_var, *draws, ctx.offset, out)
        return out.t()

    @staticmethod
    @first_order
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        gradient = batch_last(gradients[0])
        out = torch.empty_like(gradient)
        launch(kernels.sample_vjp, out.numel(), gradient, ctx.offset, out)
        return gradients[0], out.t()


def squared_error(x_hat: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
    """Squared error summed over all but the batch, times `scale`: [B]."""
    if takes(x_hat) and takes(x) and not (x.requires_grad or isinstance(scale, Tensor)):
        return SquaredError.apply(x_hat, x, scale)
    return F.mse_loss(x_hat, x, reduction="none").flatten(1).sum(1) * scale


class SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_hat: Tensor, x: Tensor, scale: float) -> Tensor:
        ctx.x_hat, ctx.x, ctx.scale = batch_last(x_hat), batch_last(x), scale
        out = x_hat.new_empty(len(x))
        size = prod(x.shape[1:]), len(x)
        launch(kernels.squared_error, *size, ctx.x_hat, ctx.x, scale, out)
        return out

    @staticmethod
    @first_order
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        out, of_each = torch.empty_like(ctx.x), gradients[0].contiguous()
        size = prod(out.shape[:-1]), len(of_each)
        launch(kernels.squared_error_vjp, *size, out, of_each, ctx.x_hat, ctx.x, ctx.scale)
        return out.movedim(-1, 0), None, None


def kl_divergence(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL[N(mu, exp(log_var)) || N(0, 1)] summed over the latents, in nats: [B]."""
    if takes(mu) and takes(log_var):
        return KLDivergence.apply(mu, log_var)
    return torch.addcmul(log_var.expm1() - log_var, mu, mu).sum(1).mul(0.5)


class KLDivergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mu: Tensor, log_var: Tensor) -> Tensor:
        ctx.mu, ctx.log_var = batch_last(mu), batch_last(log_var)
        out = mu.new_empty(len(mu))
        launch(kernels.kl_divergence, *ctx.mu.shape, ctx.mu, ctx.log_var, out)
        return out

    @staticmethod
    @first_order
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        out, of_each = ctx.mu.new_empty(2, *ctx.mu.shape), gradients[0].contiguous()
        launch(kernels.kl_divergence_vjp, *ctx.mu.shape, out, of_each, ctx.mu, ctx.log_var)
        return out[0].t(), out[1].t()


def add_total(values: Tensor, total: Tensor) -> None:
    """Add the sum of `values` to `total`, of float64."""
    if takes(values):
        row = values.contiguous()
        launch(kernels.add_total, row.numel(), row, total)
    else:
        total.add_(values.sum(dtype=torch.float64))


def note_positive(y: Tensor, noted: Tensor) -> None:
    """Note which of the units of `y` [F, ...] are anywhere positive, in `noted`, bool [F]."""
    bools = noted.is_cpu and noted.dtype is torch.bool and noted.is_contiguous()
    if takes(y) and y.is_contiguous() and bools:
        launch(kernels.note_positive, len(noted), prod(y.shape[1:]), y, noted)
    elif not noted.all():  # most are noted soon
        noted[~noted] = (y[~noted] > 0).flatten(1).any(1)


def adam(
    values: Tensor,
    gradients: Tensor,
    mean: Tensor,
    square: Tensor,
    step_size: float | Tensor,
    correction: float | Tensor,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """Adam's update of `values`, after which the gradients are zero; vectors of one length.

    Kingma & Ba 2015, algorithm 1; `mean` and `square` are the moments.
    """
    vectors = values, gradients, mean, square
    numbers = step_size, correction, beta1, beta2, epsilon
    plain = not any(isinstance(number, Tensor) for number in numbers)
    if takes(values) and plain and all(vector.is_contiguous() for vector in vectors):
        launch(kernels.adam, len(values), *vectors, *numbers)
        return
    mean.lerp_(gradients, 1 - beta1)
    square.mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
    denominator = square.sqrt().div_(correction).add_(epsilon)
    values.sub_(mean.div(denominator).mul_(step_size))
    gradients.zero_()


def lerp(values: Tensor, to: Tensor, share: float | Tensor) -> None:
    """Move `values` a `share` of the way `to` others of their shape."""
    in_rows = values.is_contiguous() and to.is_contiguous()
    if takes(values) and takes(to) and in_rows and not isinstance(share, Tensor):
        launch(kernels.lerp, values.numel(), values, to, share)
    else:
        values.lerp_(to, share)

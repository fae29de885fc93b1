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

    All of them, or those at `index`, int64 [B]. Pixels keep their shape [B, ...], but lie
    batch-last in memory as activations do, so that network and loss read them without another copy.
    """
    if stored.dtype != torch.uint8:
        return stored if index is None else stored[index]
    if is_off() or not stored.is_cpu:
        images = stored if index is None else stored[index]
        return images.movedim(0, -1).contiguous().to(torch.float32).div_(255).movedim(-1, 0)
    if index is None:
        index = torch.arange(len(stored), device="cpu")
    images, index = stored.contiguous(), index.contiguous()
    out = torch.empty(*stored.shape[1:], len(index), dtype=torch.float32, device="cpu")
    size = len(images), prod(images.shape[1:]), len(index)
    places = images.data_ptr(), index.data_ptr(), out.data_ptr()
    launch(kernels.pixels_batch_last, *size, *places)
    return out.movedim(-1, 0)


def noisy(x: Tensor, speckle: float, salt_pepper: float, mean: float, gaussian: float) -> Tensor:
    """`x` [B, ...] with speckle, salt & pepper and Gaussian noise, each clipped to [0, 1].

    `speckle` and `gaussian` are standard deviations; a share `salt_pepper` of the pixels becomes 0
    or 1. A normal number is one of 65,536 quantiles, see `draws.normal_levels`.
    """
    shares = round(salt_pepper / 2 * LEVELS)  # of salt and of pepper, a multiple of 2^-16
    of_x = batch_last(x)
    if takes(x):
        out, key = torch.empty_like(of_x), draw_keys(1)
        size = prod(x.shape[1:]), len(x)
        draws = key.data_ptr(), *share_of(len(x)), normal_levels()
        places = of_x.data_ptr(), out.data_ptr()
        arguments: tuple[Any, ...] = (*size, *places, *draws, speckle, shares, mean, gaussian)
        launch(kernels.noisy, *arguments)
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
        ctx.offset, out, key = torch.empty_like(mu), torch.empty_like(mu), draw_keys(1)
        draws = key.data_ptr(), *share_of(mu.shape[1]), normal_levels()
        places = ctx.offset.data_ptr(), out.data_ptr()
        arguments: tuple[Any, ...] = (*mu.shape, mu.data_ptr(), log_var.data_ptr(), *draws, *places)
        launch(kernels.sample, *arguments)
        return out.t()

    @staticmethod
    @first_order
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        gradient = batch_last(gradients[0])
        out = torch.empty_like(gradient)
        places = gradient.data_ptr(), ctx.offset.data_ptr(), out.data_ptr()
        launch(kernels.sample_vjp, out.numel(), *places)
        return gradients[0], out.t()


def squared_error(x_hat: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
    """Squared error summed over all but the batch, times `scale`: [B]."""
    if takes(x_hat) and takes(x) and not x.requires_grad:
        return SquaredError.apply(x_hat, x, scale)
    return F.mse_loss(x_hat, x, reduction="none").flatten(1).sum(1) * scale


class SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_hat: Tensor, x: Tensor, scale: float) -> Tensor:
        ctx.x_hat, ctx.x, ctx.scale = batch_last(x_hat), batch_last(x), scale
        out = x_hat.new_empty(len(x))
        size = prod(x.shape[1:]), len(x)
        launch(
            kernels.squared_error,
            *size,
            ctx.x_hat.data_ptr(),
            ctx.x.data_ptr(),
            scale,
            out.data_ptr(),
        )
        return out

    @staticmethod
    @first_order
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        out, of_each = torch.empty_like(ctx.x), gradients[0].contiguous()
        size = prod(out.shape[:-1]), len(of_each)
        places = out.data_ptr(), of_each.data_ptr(), ctx.x_hat.data_ptr(), ctx.x.data_ptr()
        launch(kernels.squared_error_vjp, *size, *places, ctx.scale)
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
        latents, images = ctx.mu.shape
        places = ctx.mu.data_ptr(), ctx.log_var.data_ptr(), out.data_ptr()
        launch(kernels.kl_divergence, latents, images, *places)
        return out

    @staticmethod
    @first_order
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        latents, images = ctx.mu.shape
        out, of_each = ctx.mu.new_empty(2, latents, images), gradients[0].contiguous()
        places = out.data_ptr(), of_each.data_ptr(), ctx.mu.data_ptr(), ctx.log_var.data_ptr()
        launch(kernels.kl_divergence_vjp, latents, images, *places)
        return out[0].t(), out[1].t()


def add_total(values: Tensor, total: Tensor) -> None:
    """Add the sum of `values` to `total`, of float64."""
    if takes(values):
        row = values.contiguous()
        launch(kernels.add_total, row.numel(), row.data_ptr(), total.data_ptr())
    else:
        total.add_(values.sum(dtype=torch.float64))


def note_positive(y: Tensor, noted: Tensor) -> None:
    """Note which of the units of `y` [F, ...] are anywhere positive, in `noted`, bool [F]."""
    if takes(y) and noted.is_cpu and y.is_contiguous():
        size = len(noted), prod(y.shape[1:])
        launch(kernels.note_positive, *size, y.data_ptr(), noted.data_ptr())
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
    if takes(values) and all(vector.is_contiguous() for vector in vectors):
        places = [vector.data_ptr() for vector in vectors]
        numbers = step_size, correction, beta1, beta2, epsilon
        arguments: tuple[Any, ...] = (len(values), *places, *numbers)
        launch(kernels.adam, *arguments)
        return
    mean.lerp_(gradients, 1 - beta1)
    square.mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
    denominator = square.sqrt().div_(correction).add_(epsilon)
    values.sub_(mean.div(denominator).mul_(step_size))
    gradients.zero_()


def lerp(values: Tensor, to: Tensor, share: float | Tensor) -> None:
    """Move `values` a `share` of the way `to` others of their shape."""
    if takes(values) and takes(to) and values.is_contiguous() and to.is_contiguous():
        launch(kernels.lerp, values.numel(), values.data_ptr(), to.data_ptr(), share)
    else:
        values.lerp_(to, share)

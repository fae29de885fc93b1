"""3×3 convolutions of stride 2, as matrix products over images that lie batch-last.

With so few channels PyTorch's CPU kernels reach a tenth of a core's matrix rate, and the
transposed ones take most of a training step. Laid out as [C, H, W, B], gathering the 3×3
neighbourhoods copies runs of B consecutive floats, and what remains is one matrix product
("im2col", Chellapilla et al. 2006; batch-last as in cuda-convnet, Krizhevsky 2012). A transposed
convolution is the adjoint: one product, then the neighbourhoods added back. Both layers keep the
parameters of PyTorch's own and equal them by test.

C channels, H W pixels, B batch, K = 9·C.
"""

from functools import lru_cache
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

KERNEL, STRIDE = 3, 2


class Conv2d(nn.Conv2d):
    """`nn.Conv2d(in, out, 3, stride=2, padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int):
        super().__init__(in_channels, out_channels, KERNEL, stride=STRIDE, padding=padding)
        self.pad = padding

    def forward(self, input: Tensor) -> Tensor:
        return Convolve.apply(input, self.weight, self.bias, self.pad)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d(in, out, 3, stride=2, padding, output_padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int, output_padding: int):
        super().__init__(
            in_channels,
            out_channels,
            KERNEL,
            stride=STRIDE,
            padding=padding,
            output_padding=output_padding,
        )
        self.pad = padding
        self.extra = output_padding

    def forward(self, input: Tensor) -> Tensor:  # type: ignore[override]
        _, height, width, _ = input.shape
        size = tuple(STRIDE * (n - 1) + KERNEL - 2 * self.pad + self.extra for n in (height, width))
        return ConvolveTransposed.apply(input, self.weight, self.bias, self.pad, size)


class Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        _, height, width, batch = x.shape
        out_size = tuple((n + 2 * padding - KERNEL) // STRIDE + 1 for n in (height, width))
        columns = gather(x, padding, out_size)  # [K, H'·W'·B]
        matrix = weight.reshape(len(weight), -1)  # [C', K]
        ctx.save_for_backward(columns, matrix)
        ctx.geometry = padding, out_size
        ctx.x_shape, ctx.weight_shape = x.shape, weight.shape
        out = x.new_empty(len(weight), *out_size, batch)
        torch.addmm(bias[:, None], matrix, columns, out=out.view(len(weight), -1))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (gradient,) = gradients
        columns, matrix = ctx.saved_tensors
        gradient = gradient.reshape(len(gradient), -1)
        weight_gradient = (gradient @ columns.t()).view(ctx.weight_shape)
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = gradient.new_zeros(ctx.x_shape)
            scatter(matrix.t() @ gradient, x_gradient, *ctx.geometry)
        return x_gradient, weight_gradient, gradient.sum(1), None


class ConvolveTransposed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int, size: tuple[int, int]
    ) -> Tensor:
        channels, height, width, _ = x.shape
        matrix = weight.reshape(channels, -1)  # [C, K'] with K' of the output's channels
        flat = x.reshape(channels, -1)
        ctx.save_for_backward(flat, matrix)
        ctx.geometry = padding, (height, width)
        ctx.x_shape, ctx.weight_shape = x.shape, weight.shape
        out = bias[:, None, None, None].repeat(1, *size, x.shape[3])
        return scatter(matrix.t() @ flat, out, *ctx.geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (gradient,) = gradients
        flat, matrix = ctx.saved_tensors
        columns = gather(gradient, *ctx.geometry)
        x_gradient = (matrix @ columns).view(ctx.x_shape)
        weight_gradient = (flat @ columns.t()).view(ctx.weight_shape)
        return x_gradient, weight_gradient, gradient.sum((1, 2, 3)), None, None


def gather(x: Tensor, padding: int, size: tuple[int, ...]) -> Tensor:
    """The neighbourhoods of `size` = (H', W') positions: [C, H, W, B] to [K, H'·W'·B]."""
    channels, batch = x.shape[0], x.shape[3]
    padded = F.pad(x, (0, 0, padding, padding, padding, padding)) if padding else x
    of_channel, of_row, of_column, of_image = padded.stride()
    windows = padded.as_strided(
        (channels, KERNEL, KERNEL, *size, batch),
        (of_channel, of_row, of_column, STRIDE * of_row, STRIDE * of_column, of_image),
    )
    return windows.reshape(channels * KERNEL * KERNEL, -1)


def scatter(columns: Tensor, out: Tensor, padding: int, positions: tuple[int, int]) -> Tensor:
    """The adjoint of `gather`: neighbourhoods [K, H'·W'·B], added to `out` [C, H, W, B]."""
    for size, to, to_offset, origin, origin_offset in taps(tuple(out.shape), padding, positions):
        out.as_strided(size, to, to_offset).add_(columns.as_strided(size, origin, origin_offset))
    return out


@lru_cache
def taps(
    shape: tuple[int, ...], padding: int, positions: tuple[int, int]
) -> list[tuple[tuple[int, ...], tuple[int, ...], int, tuple[int, ...], int]]:
    """For each of the kernel's nine taps: size, then stride and offset in `out` and in `columns`.

    Worked out once: as Python's slices it takes longer than the additions themselves.
    """
    channels, height, width, batch = shape
    rows, cols = positions
    to = (height * width * batch, STRIDE * width * batch, STRIDE * batch, 1)
    tap = rows * cols * batch
    origin = (KERNEL * KERNEL * tap, cols * batch, batch, 1)
    found = []
    for i, j in product(range(KERNEL), repeat=2):
        first_row, count_rows = overlap(i - padding, height, rows)
        first_col, count_cols = overlap(j - padding, width, cols)
        top, left = STRIDE * first_row + i - padding, STRIDE * first_col + j - padding
        found.append(
            (
                (channels, count_rows, count_cols, batch),
                to,
                (top * width + left) * batch,
                origin,
                (KERNEL * i + j) * tap + (first_row * cols + first_col) * batch,
            )
        )
    return found


def overlap(offset: int, size: int, positions: int) -> tuple[int, int]:
    """Which n in [0, positions) put 2·n + offset into [0, size): the first, and how many."""
    first = (max(0, -offset) + STRIDE - 1) // STRIDE
    end = min(positions, (size - 1 - offset) // STRIDE + 1)
    return first, max(0, end - first)

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

from latent_digits.stack import Layer

KERNEL, STRIDE = 3, 2


class Conv2d(Layer):
    """`nn.Conv2d(in, out, 3, stride=2, padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int):
        super().__init__()
        conv = nn.Conv2d(in_channels, out_channels, KERNEL)
        self.weight, self.bias, self.padding = conv.weight, conv.bias, padding

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        _, height, width, batch = x.shape
        rows, cols = ((n + 2 * self.padding - KERNEL) // STRIDE + 1 for n in (height, width))
        columns = gather(x, self.padding, (rows, cols))  # [K, H'·W'·B]
        matrix = self.weight.flatten(1)  # [C', K]
        y = torch.addmm(self.bias[:, None], matrix, columns)
        return y.view(-1, rows, cols, batch), (columns, x.shape)

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        columns, x_shape = saved
        flat = gradient.flatten(1)
        of_parameters = [(flat @ columns.t()).view_as(self.weight), flat.sum(1)]
        if first:
            return None, of_parameters
        of_columns = self.weight.flatten(1).t() @ flat
        of_x = scatter(of_columns, gradient.new_zeros(x_shape), self.padding, gradient.shape[1:3])
        return of_x, of_parameters


class ConvTranspose2d(Layer):
    """`nn.ConvTranspose2d(in, out, 3, stride=2, padding, output_padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int, output_padding: int):
        super().__init__()
        conv = nn.ConvTranspose2d(in_channels, out_channels, KERNEL)
        self.weight, self.bias, self.padding = conv.weight, conv.bias, padding
        self.extra = KERNEL - 2 * padding + output_padding

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        _, rows, cols, batch = x.shape
        height, width = (STRIDE * (n - 1) + self.extra for n in (rows, cols))
        columns = self.weight.flatten(1).t() @ x.flatten(1)  # [K', H·W·B], K' of the output
        y = self.bias[:, None, None, None].repeat(1, height, width, batch)
        return scatter(columns, y, self.padding, (rows, cols)), x

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        columns = gather(gradient, self.padding, saved.shape[1:3])
        of_weight = (saved.flatten(1) @ columns.t()).view_as(self.weight)
        of_parameters = [of_weight, gradient.flatten(1).sum(1)]
        if first:
            return None, of_parameters
        return (self.weight.flatten(1) @ columns).view_as(saved), of_parameters


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

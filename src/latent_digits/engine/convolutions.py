"""3×3 convolutions of stride 2, as matrix products over images that lie batch-last.

With so few channels PyTorch's CPU kernels reach a tenth of a core's matrix rate, and the
transposed ones take most of a training step. Laid out as [C, H, W, B], gathering the 3×3
neighbourhoods copies runs of B consecutive floats, and what remains is one matrix product
("im2col", Chellapilla et al. 2006; batch-last as in cuda-convnet, Krizhevsky 2012). A transposed
convolution is the adjoint: one product, then the neighbourhoods added back. On the CPU both are
loops that keep no neighbourhoods in memory, see `kernels`. Both layers keep the
parameters of PyTorch's own and equal them by test.

C channels of the side with more pixels, C' of the other; H W and R S these pixels; B batch;
K = 9·C.
"""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_digits.engine import kernels
from latent_digits.engine.chains import Shape, Step
from latent_digits.engine.stack import Layer

KERNEL, STRIDE = 3, 2
Size = tuple[int, int]


class Conv2d(Layer):
    """`nn.Conv2d(in, out, 3, stride=2, padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int):
        super().__init__()
        conv = nn.Conv2d(in_channels, out_channels, KERNEL)
        self.weight, self.bias = conv.parameters()
        self.padding = padding

    def step(self, shape: Shape) -> Step:
        inputs = self.weight.shape[1]
        self.expect(len(shape) == 3 and shape[0] == inputs, f"[{inputs}, H, W]", shape)
        channels, height, width = shape
        rows, cols = self.positions(height, width)
        self.expect(
            min(rows, cols) > 0, f"{KERNEL}×{KERNEL} pixels with its padding or more", shape
        )
        count = self.weight.numel() + len(self.bias)
        windows = channels * 4 * (rows + 1) * (cols + 1)
        y = len(self.weight), rows, cols
        return Step(kernels.CONV, shape, y, count, self.padding, windows)

    def positions(self, height: int, width: int) -> Size:
        """How many places (R, S) the kernel has on so many pixels."""
        rows, cols = ((n + 2 * self.padding - KERNEL) // STRIDE + 1 for n in (height, width))
        return rows, cols

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        _, height, width, _ = x.shape
        rows, cols = self.positions(height, width)
        windows = gather(x, self.padding, (rows, cols))
        y = torch.addmm(self.bias[:, None], self.weight.flatten(1), windows)
        return y.view(len(y), rows, cols, -1), (windows, (height, width))

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        windows, size = saved
        of_y = gradient.flatten(1)
        of_parameters = [(of_y @ windows.t()).view_as(self.weight), of_y.sum(1)]
        if first:
            return None, of_parameters
        no_bias = gradient.new_zeros(self.weight.shape[1])
        return scatter(gradient, self.weight, no_bias, self.padding, size), of_parameters


class ConvTranspose2d(Layer):
    """`nn.ConvTranspose2d(in, out, 3, stride=2, padding, output_padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int, output_padding: int):
        super().__init__()
        if not 0 <= output_padding < STRIDE:
            raise ValueError(f"output_padding must be 0 or more and less than the stride, {STRIDE}")
        conv = nn.ConvTranspose2d(in_channels, out_channels, KERNEL)
        self.weight, self.bias = conv.parameters()
        self.padding, self.extra = padding, KERNEL - 2 * padding + output_padding

    def step(self, shape: Shape) -> Step:
        inputs = len(self.weight)
        self.expect(len(shape) == 3 and shape[0] == inputs, f"[{inputs}, R, S]", shape)
        _, rows, cols = shape
        count = self.weight.numel() + len(self.bias)
        y = len(self.bias), *self.pixels(rows, cols)
        self.expect(min(y) > 0, "what makes one pixel or more", shape)
        return Step(kernels.CONV_TRANSPOSE, shape, y, count, self.padding)

    def pixels(self, rows: int, cols: int) -> Size:
        """The height and width that so many positions make."""
        height, width = (STRIDE * (n - 1) + self.extra for n in (rows, cols))
        return height, width

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        _, rows, cols, _ = x.shape
        return scatter(x, self.weight, self.bias, self.padding, self.pixels(rows, cols)), x

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        _, rows, cols, _ = saved.shape
        windows = gather(gradient, self.padding, (rows, cols))
        of_weight = (saved.flatten(1) @ windows.t()).view_as(self.weight)
        of_parameters = [of_weight, gradient.flatten(1).sum(1)]
        of_x = None if first else (self.weight.flatten(1) @ windows).view_as(saved)
        return of_x, of_parameters


def gather(x: Tensor, padding: int, positions: Size) -> Tensor:
    """The neighbourhoods of `positions` = (R, S) in `x` [C, H, W, B]: [K, R·S·B]."""
    padded = F.pad(x, (0, 0, padding, padding, padding, padding))
    taps = [tap(padded, i, j, positions) for i, j in product(range(KERNEL), repeat=2)]
    return torch.stack(taps, dim=1).view(len(x) * KERNEL**2, -1)


def scatter(x: Tensor, weight: Tensor, bias: Tensor, padding: int, size: Size) -> Tensor:
    """The adjoint of gather and the product, and `bias`: [C', R, S, B] to [C, H, W, B]."""
    height, width = size
    columns = weight.flatten(1).t() @ x.flatten(1)
    columns = columns.view(len(bias), KERNEL, KERNEL, *x.shape[1:])
    padded = bias[:, None, None, None].repeat(
        1, height + 2 * padding, width + 2 * padding, x.shape[3]
    )
    for i, j in product(range(KERNEL), repeat=2):
        tap(padded, i, j, (x.shape[1], x.shape[2])).add_(columns[:, i, j])
    return padded[:, padding : padding + height, padding : padding + width].contiguous()


def tap(padded: Tensor, i: int, j: int, positions: Size) -> Tensor:
    """The pixels of [C, H, W, B] that the kernel's weight (i, j) meets: [C, R, S, B], a view."""
    rows, cols = positions
    return padded[:, i : i + STRIDE * rows : STRIDE, j : j + STRIDE * cols : STRIDE]

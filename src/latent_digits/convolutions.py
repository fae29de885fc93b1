"""3×3 convolutions of stride 2, as matrix products over images that lie batch-last.

With so few channels PyTorch's CPU kernels reach a tenth of a core's matrix rate, and the
transposed ones take most of a training step. Laid out as [C, H, W, B], gathering the 3×3
neighbourhoods copies runs of B consecutive floats, and what remains is one matrix product
("im2col", Chellapilla et al. 2006; batch-last as in cuda-convnet, Krizhevsky 2012). A transposed
convolution is the adjoint: one product, then the neighbourhoods added back. On the CPU both are
loops that keep no neighbourhoods in memory, see `latent_digits.kernels`. Both layers keep the
parameters of PyTorch's own and equal them by test.

C channels of the side with more pixels, C' of the other; H W and R S these pixels; B batch;
K = 9·C.
"""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_digits import kernels
from latent_digits.stack import Layer, has_kernel

KERNEL, STRIDE = 3, 2
Size = tuple[int, int]


class Conv2d(Layer):
    """`nn.Conv2d(in, out, 3, stride=2, padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int):
        super().__init__()
        conv = nn.Conv2d(in_channels, out_channels, KERNEL)
        self.weight, self.bias = conv.parameters()
        self.padding = padding

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        _, height, width, _ = x.shape
        rows, cols = ((n + 2 * self.padding - KERNEL) // STRIDE + 1 for n in (height, width))
        windows = gather(x, self.padding, (rows, cols))
        y = correlate(windows, self.weight, self.bias, (rows, cols))
        return y, (windows, (height, width))

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        windows, size = saved
        of_parameters = [weight_gradient(windows, gradient, self.weight), sums(gradient)]
        if first:
            return None, of_parameters
        no_bias = gradient.new_zeros(self.weight.shape[1])
        return scatter(gradient, self.weight, no_bias, self.padding, size), of_parameters


class ConvTranspose2d(Layer):
    """`nn.ConvTranspose2d(in, out, 3, stride=2, padding, output_padding)` on [C, H, W, B]."""

    def __init__(self, in_channels: int, out_channels: int, padding: int, output_padding: int):
        super().__init__()
        conv = nn.ConvTranspose2d(in_channels, out_channels, KERNEL)
        self.weight, self.bias = conv.parameters()
        self.padding, self.extra = padding, KERNEL - 2 * padding + output_padding

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        _, rows, cols, _ = x.shape
        height, width = (STRIDE * (n - 1) + self.extra for n in (rows, cols))
        return scatter(x, self.weight, self.bias, self.padding, (height, width)), x

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        _, rows, cols, _ = saved.shape
        windows = gather(gradient, self.padding, (rows, cols))
        of_parameters = [weight_gradient(windows, saved, self.weight), sums(gradient)]
        if first:
            return None, of_parameters
        no_bias = gradient.new_zeros(len(self.weight))
        return correlate(windows, self.weight, no_bias, (rows, cols)), of_parameters


def gather(x: Tensor, padding: int, positions: Size) -> Tensor:
    """The neighbourhoods of `positions` = (R, S) in `x` [C, H, W, B]: [K, R·S·B].

    On the CPU [C, 2, 2, R+1, S+1, B], which holds no pixel twice: see `kernels.polyphase`.
    """
    if has_kernel(x):
        return torch.from_numpy(kernels.polyphase(x.numpy(), padding, *positions))
    padded = F.pad(x, (0, 0, padding, padding, padding, padding))
    taps = [tap(padded, i, j, positions) for i, j in product(range(KERNEL), repeat=2)]
    return torch.stack(taps, dim=1).view(len(x) * KERNEL**2, -1)


def correlate(windows: Tensor, weight: Tensor, bias: Tensor, positions: Size) -> Tensor:
    """The convolution of what `gather` found with `weight` [C', C, 3, 3]: [C', R, S, B]."""
    if windows.dim() == 2:
        y = torch.addmm(bias[:, None], weight.flatten(1), windows)
        return y.view(len(weight), *positions, -1)
    arrays = (t.detach().numpy() for t in (windows, weight, bias))
    return torch.from_numpy(kernels.correlate(*arrays))


def weight_gradient(windows: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient of `weight`, from what `gather` found and the gradient [C', R, S, B]."""
    if windows.dim() == 2:
        return (gradient.flatten(1) @ windows.t()).view_as(weight)
    arrays = (t.numpy() for t in (windows, gradient.to(windows.dtype)))
    return torch.from_numpy(kernels.weight_gradient(*arrays))


def sums(gradient: Tensor) -> Tensor:
    """The gradient of a bias: [C, H, W, B] to [C]."""
    return gradient.flatten(1).sum(1)


def scatter(x: Tensor, weight: Tensor, bias: Tensor, padding: int, size: Size) -> Tensor:
    """The adjoint of gather and correlate, and `bias`: [C', R, S, B] to [C, H, W, B]."""
    height, width = size
    if has_kernel(x):
        arrays = x.numpy(), weight.detach().numpy(), bias.detach().numpy()
        return torch.from_numpy(kernels.scatter(*arrays, padding, height, width))
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

"""ReLU and dropout in one, in place, at a small part of their usual cost on the CPU.

`nn.Dropout` draws one random number after the other there and takes about 40 % of a training
step. Here 16 random bits decide on an element, so that the drop probability is a multiple of 2^-16.
And since what was dropped and what was negative are both zero afterwards, the output alone says
where the gradient goes: no mask is kept.
"""

from typing import Any

import torch
from torch import Tensor

from latent_digits import kernels
from latent_digits.draws import LEVELS, draw_key, draw_levels, share_of
from latent_digits.stack import Layer, has_kernel


class ReluDropout(Layer):
    """ReLU, which in training also zeroes elements with probability p and scales the rest up.

    The scale is 1 / (1 - p). With `channels`, whole channels of [C, H, W, B] are zeroed together
    (Tompson et al. 2015).
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    output = "in place"

    def __init__(self, p: float, channels: bool = False):
        super().__init__()
        self.dropped = round(p * LEVELS)  # of LEVELS equally likely values
        self.scale = LEVELS / (LEVELS - self.dropped) if self.dropped < LEVELS else 0.0
        self.channels = channels

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        if not (self.training and self.dropped):
            return x.relu_(), (x, 1.0)
        units = x.shape[0] if self.channels else x.shape[:-1].numel()
        relu_dropout(x.view(units, -1, x.shape[-1]), self.dropped, self.scale)
        return x, (x, self.scale)

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        return relu_dropout_vjp(gradient, *saved), []

    def extra_repr(self) -> str:
        return f"p={self.dropped / LEVELS:.5g}, channels={self.channels}"


def relu_dropout(x: Tensor, dropped: int, scale: float) -> None:
    """In place on [F, P, B]: ReLU, then one draw for each unit F of each image B.

    A unit is zeroed with chance `dropped` / LEVELS, else multiplied by `scale`.
    """
    highest_dropped = dropped - 1 - LEVELS // 2
    if has_kernel(x):
        array = x.numpy()
        where, scaling = share_of(x.shape[2]), array.dtype.type(scale)
        kernels.relu_dropout(array, draw_key(), *where, highest_dropped, scaling)
    else:
        kept = draw_levels((x.shape[0], x.shape[2]), x) > highest_dropped
        x.relu_().mul_(kept.mul(scale)[:, None])


def relu_dropout_vjp(gradient: Tensor, y: Tensor, scale: float) -> Tensor:
    """The gradient of the input, from the output's and the output `y`."""
    if not has_kernel(gradient, y):
        return torch.ops.aten.threshold_backward(gradient, y, 0).mul_(scale)
    array = gradient.numpy()
    return torch.from_numpy(kernels.relu_dropout_vjp(array, y.numpy(), array.dtype.type(scale)))

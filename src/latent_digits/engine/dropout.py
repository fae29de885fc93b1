"""ReLU and dropout in one, in place, at a small part of their usual cost on the CPU.

`nn.Dropout` draws one random number after the other there and takes about 40 % of a training
step. Here 16 random bits decide on an element, so that the drop probability is a multiple of 2^-16.
And since what was dropped and what was negative are both zero afterwards, the output alone says
where the gradient goes: no mask is kept.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor

from latent_digits.engine import kernels
from latent_digits.engine.chains import Shape, Step
from latent_digits.engine.draws import draw_levels
from latent_digits.engine.kernels import LEVELS, scaling
from latent_digits.engine.stack import Layer


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
        self.channels = channels

    def step(self, shape: Shape) -> Step:
        units = shape[0] if self.channels else prod(shape)
        dropped = self.dropped if self.training else 0
        return Step(kernels.RELU_DROPOUT, shape, shape, units=units, dropped=dropped)

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        if not (self.training and self.dropped):
            return x.relu_(), (x, 1.0)
        shape = (x.shape[0] if self.channels else x.shape[:-1].numel(), x.shape[-1])
        kept = draw_levels(shape, x) >= self.dropped - LEVELS // 2
        scale = scaling(self.dropped)
        x.view(shape[0], -1, shape[1]).relu_().mul_(kept.mul(scale)[:, None])
        return x, (x, scale)

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        y, scale = saved
        return torch.ops.aten.threshold_backward(gradient, y, 0).mul_(scale), []

    def extra_repr(self) -> str:
        return f"p={self.dropped / LEVELS:.5g}, channels={self.channels}"

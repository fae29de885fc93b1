"""Initial weights under which a network's units live.

A ReLU unit that is negative for every image has no gradient, and stays so. At the report's learning
rate the first steps decide who does. With PyTorch's own initial weights activations shrink from
layer to layer, and images begin half bright: until they are as dark as MNIST, all units are driven
the same way.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

from latent_digits.engine.convolutions import KERNEL, STRIDE, Conv2d, ConvTranspose2d
from latent_digits.engine.dropout import ReluDropout
from latent_digits.engine.stack import Linear, Sigmoid, Stack
from latent_digits.seeds import seed_for

Model = TypeVar("Model", bound=nn.Module)
SMALL = 0.1  # times 1 / fan-in: the variance of weights after which nothing follows


@torch.no_grad()
def initialised(seed: int, build: Callable[[], Model], brightness: float) -> Model:
    """What `build` makes, with initial weights that follow from `seed` alone.

    Uniform weights: of variance 2 / fan-in before a ReLU, which takes half of what passes away (He
    et al. 2015, "Delving deep into rectifiers", section 2.2), and 1 / fan-in before a sigmoid.
    Between two ReLUs of a stack a unit's weights sum to zero: since its inputs are not negative, it
    would else answer to nearly all images or to nearly none (Huang et al. 2017, "Centered weight
    normalization in accelerating training of deep neural networks").
    Latents and logits begin small, as what a network ends with does in Zhang et al. 2019, "Fixup
    initialization". Biases are zero, but images that a sigmoid makes begin with a mean of
    `brightness`, in [0, 1] (Lin et al. 2017, "Focal loss for dense object detection", section 3.3,
    begin with a prior so).
    """
    torch.manual_seed(seed_for(seed, "init"))
    model = build()
    for stack in model.modules():
        if isinstance(stack, Stack):
            after_relu = False
            for layer, then in pairwise([*stack.layers, None]):
                if isinstance(layer, ReluDropout):
                    after_relu = True
                elif isinstance(layer, (Linear, Conv2d, ConvTranspose2d)):
                    before_relu = isinstance(then, ReluDropout)
                    gain = 2.0 if before_relu else 1.0 if isinstance(then, Sigmoid) else SMALL
                    bound = math.sqrt(3 * gain / fan_in(layer))
                    layer.weight.uniform_(-bound, bound)
                    if after_relu and before_relu:
                        centre(layer)
                    layer.bias.fill_(logit(brightness) if isinstance(then, Sigmoid) else 0.0)
                    after_relu = False
    return model


def fan_in(layer: Linear | Conv2d | ConvTranspose2d) -> float:
    """How many inputs an output is a sum of; in the mean, of a transposed convolution."""
    match layer:
        case ConvTranspose2d():
            return layer.weight.shape[0] * KERNEL**2 / STRIDE**2
        case Conv2d():
            return layer.weight.shape[1] * KERNEL**2
        case Linear():
            return layer.weight.shape[1]


def centre(layer: Linear | Conv2d | ConvTranspose2d) -> None:
    """Make the weights of an output sum to zero, with the variance that they had."""
    # Of a transposed convolution each tap by itself: an output pixel meets some of them.
    over = (0,) if isinstance(layer, ConvTranspose2d) else tuple(range(1, layer.weight.ndim))
    mean = layer.weight.double().mean(over, keepdim=True)
    count = layer.weight.numel() / mean.numel()
    if count > 1:
        layer.weight.sub_(mean).mul_(math.sqrt(count / (count - 1)))


def logit(share: float) -> float:
    """What a sigmoid makes `share` of, which is kept off 0 and 1."""
    share = min(max(share, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))

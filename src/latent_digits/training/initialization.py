"""Initial weights under which a network's units live.

A ReLU unit that is negative for every image has no gradient, and stays so. At the original report's
learning rate the first steps decide who does. With PyTorch's own initial weights activations shrink
from layer to layer, and images begin half bright: until they are as dark as MNIST, all units are
driven the same way.
"""

import math
from collections.abc import Callable, Iterable
from math import prod
from typing import TypeVar

import torch
from torch import nn

from latent_digits.seeds import seed_for

Model = TypeVar("Model", bound=nn.Module)
Weighted = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
HALVING = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU)  # of what passes, about half
PASSING = (  # what stands between weights and their activation
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm),
    *(nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Unflatten),
)
SMALL = 0.1  # times 1 / fan-in: the variance of weights after which no activation follows


@torch.no_grad()
def initialised(seed: int, build: Callable[[], Model], brightness: float) -> Model:
    """What `build` makes, with initial weights that follow from `seed` alone.

    Uniform weights, in each `nn.Sequential`: of variance 2 / fan-in before a ReLU or its like,
    which takes half of what passes away (He et al. 2015, "Delving deep into rectifiers", section
    2.2), and 1 / fan-in before a sigmoid.
    Between two of these a unit's weights sum to zero: since its inputs are hardly negative, it
    would else answer to nearly all images or to nearly none (Huang et al. 2017, "Centered weight
    normalization in accelerating training of deep neural networks").
    Latents and logits begin small, as what a network ends with does in Zhang et al. 2019, "Fixup
    initialization". Biases are zero, but images that a sigmoid makes begin with a mean of
    `brightness`, in [0, 1] (Lin et al. 2017, "Focal loss for dense object detection", section 3.3,
    begin with a prior so). Other layers, and those before another activation, keep PyTorch's
    initial values.
    """
    torch.manual_seed(seed_for(seed, "init"))
    model = build()
    for stack in model.modules():
        if isinstance(stack, nn.Sequential):
            after_halving = False
            for index, layer in enumerate(stack):
                if isinstance(layer, HALVING):
                    after_halving = True
                elif isinstance(layer, WEIGHTED):
                    then = activation([*stack][index + 1 :])
                    halved, bright = isinstance(then, HALVING), isinstance(then, nn.Sigmoid)
                    if not (halved or bright or then is None):
                        after_halving = False
                        continue
                    gain = 2.0 if halved else 1.0 if bright else SMALL
                    bound = math.sqrt(3 * gain / fan_in(layer))
                    layer.weight.uniform_(-bound, bound)
                    if after_halving and halved:
                        centre(layer)
                    if layer.bias is not None:
                        layer.bias.fill_(logit(brightness) if bright else 0.0)
                    after_halving = False
    return model


def activation(layers: Iterable[nn.Module]) -> nn.Module | None:
    """What these layers begin with, but for normalization, dropout and change of shape."""
    return next((layer for layer in layers if not isinstance(layer, PASSING)), None)


def fan_in(layer: Weighted) -> float:
    """How many inputs an output is a sum of; in the mean, of a transposed convolution."""
    match layer:
        case nn.ConvTranspose2d():
            return layer.weight.shape[0] * prod(layer.kernel_size) / prod(layer.stride)
        case nn.Conv2d():
            return layer.weight.shape[1] * prod(layer.kernel_size)
        case nn.Linear():
            return layer.weight.shape[1]


def centre(layer: Weighted) -> None:
    """Make the weights of an output sum to zero, with the variance that they had."""
    # Of a transposed convolution each tap by itself: an output pixel meets some of them.
    over = (0,) if isinstance(layer, nn.ConvTranspose2d) else tuple(range(1, layer.weight.ndim))
    mean = layer.weight.double().mean(over, keepdim=True)
    count = layer.weight.numel() / mean.numel()
    if count > 1:
        layer.weight.sub_(mean).mul_(math.sqrt(count / (count - 1)))


def logit(share: float) -> float:
    """What a sigmoid makes `share` of, which is kept off 0 and 1."""
    share = min(max(share, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))

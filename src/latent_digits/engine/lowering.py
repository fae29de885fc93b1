"""From layers of `torch.nn` to the steps of a chain: for which there are kernels, for which not.

Layers are recognised by their exact type and settings. A ReLU and the dropout behind it belong to
the step of the layer with weights before them.
"""

import math
from collections.abc import Callable, Sequence
from math import prod
from operator import attrgetter
from typing import Any

from torch import nn

from latent_digits.engine import kernels
from latent_digits.engine.chains import IN_PLACE, Shape, Step
from latent_digits.engine.kernels import LEVELS

KERNEL, STRIDE = 3, 2
CONVOLUTION = {
    "kernel_size": (KERNEL, KERNEL),
    "stride": (STRIDE, STRIDE),
    "dilation": (1, 1),
    "groups": 1,
    "padding_mode": "zeros",
}
FLATTEN = {"start_dim": 1, "end_dim": -1}
# What a chain is made from beside shapes. A layer that is changed makes another chain.
SETTINGS: dict[type, Callable[[Any], Any]] = {
    nn.Conv2d: attrgetter(*CONVOLUTION, "padding"),
    nn.ConvTranspose2d: attrgetter(*CONVOLUTION, "padding", "output_padding"),
    nn.Linear: lambda layer: None,
    nn.ReLU: lambda layer: None,
    nn.Dropout: attrgetter("p", "training"),
    nn.Dropout2d: attrgetter("p", "training"),
    nn.Sigmoid: lambda layer: None,
    nn.Flatten: attrgetter(*FLATTEN),
    nn.Unflatten: attrgetter("dim", "unflattened_size"),
}
NAMES = ("weight", "bias")  # of the parameters, as a chain has them
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
DROPOUTS = (nn.Dropout, nn.Dropout2d)
RESHAPES = (nn.Flatten, nn.Unflatten)


def why_not(layers: Sequence[nn.Module]) -> str:
    """Why these layers make no chain, whatever their input; empty where they make one."""
    spare = False  # whether nobody needs the activation any more, so that it can be overwritten
    before: nn.Module | None = None
    for layer in layers:
        kind = type(layer)
        name = kind.__name__
        if kind not in SETTINGS:
            return f"{name} has no kernel"
        if other := unlike(layer):
            return f"{name} with {other} has no kernel"
        if kind in DROPOUTS and type(before) is not nn.ReLU:
            return f"{name} has a kernel only right behind a ReLU"
        if kind in (nn.ReLU, nn.Sigmoid) and not spare:
            return f"{name} has a kernel only behind a layer with weights"
        if kind in WEIGHTED:
            spare = True
        elif kind not in RESHAPES:
            spare = False
        before = layer
    return "" if any(type(layer) in WEIGHTED for layer in layers) else "no layer has weights"


def unlike(layer: Any) -> str:
    """The setting for which there is no kernel; empty where there is none such."""
    wanted: dict[str, Any] = {}
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        wanted = CONVOLUTION
    elif isinstance(layer, nn.Flatten):
        wanted = FLATTEN
    elif isinstance(layer, nn.Unflatten):
        wanted = {"dim": 1}
    if isinstance(layer, WEIGHTED) and layer._parameters.get("bias", layer) is None:
        return "bias=False"
    for name, value in wanted.items():
        if (found := getattr(layer, name)) != value:
            return f"{name}={found}"
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        for name, most in (("padding", math.inf), ("output_padding", STRIDE - 1)):
            found = getattr(layer, name)
            if not (isinstance(found, tuple) and found[0] == found[1] and 0 <= found[0] <= most):
                return f"{name}={found}"
    if isinstance(layer, nn.Unflatten) and not (
        isinstance(layer.unflattened_size, tuple) and min(layer.unflattened_size) > 0
    ):
        return f"unflattened_size={layer.unflattened_size}"
    if isinstance(layer, DROPOUTS) and not 0 <= layer.p <= 1:
        return f"p={layer.p}"
    if isinstance(layer, WEIGHTED):
        if layer._modules or not as_made(layer):
            return "other parameters"
    elif layer._parameters or layer._modules:
        return "parameters"
    return ""


def as_made(layer: Any) -> bool:
    """Whether a layer's parameters are those that it was made with, in kind and shape."""
    if set(layer._parameters) != set(NAMES):
        return False
    weight, bias = (layer._parameters[name] for name in NAMES)
    if isinstance(layer, nn.Linear):
        return weight.ndim == 2 and bias.shape == weight.shape[:1]
    outputs = weight.shape[1 if isinstance(layer, nn.ConvTranspose2d) else 0]
    return weight.shape[2:] == (KERNEL, KERNEL) and bias.shape == (outputs,)


def steps(layers: Sequence[nn.Module], shape: Shape) -> tuple[list[Step], list[int]] | None:
    """The steps of layers that make a chain, where an image has this shape, and each layer's step.

    None where the shape does not fit them, which PyTorch's own layers say best.
    """
    found: list[Step] = []
    places = []
    for layer in layers:
        x = found[-1].y if found else shape
        if isinstance(layer, (nn.ReLU, *DROPOUTS)):
            if isinstance(layer, nn.Dropout2d) and len(x) != 3:
                return None
            of = max(n for n, step in enumerate(found) if step.kind not in IN_PLACE)
            found[of] = followed(found[of], layer, x)
        else:
            step = lowered(layer, x)
            if step is None:
                return None
            found.append(step)
        places.append(len(found) - 1)
    return found, places


def lowered(layer: Any, x: Shape) -> Step | None:
    """The step of another layer on activations of shape `x`; None if it misfits."""
    count = sum(parameter.numel() for parameter in layer._parameters.values())
    match layer:
        case nn.Linear():
            units, inputs = layer.weight.shape
            return Step(kernels.LINEAR, x, (units,), count) if x == (inputs,) else None
        case nn.Conv2d():
            if len(x) != 3 or x[0] != layer.weight.shape[1]:
                return None
            padding = int(layer.padding[0])
            rows, cols = ((n + 2 * padding - KERNEL) // STRIDE + 1 for n in x[1:])
            y = len(layer.weight), rows, cols
            return Step(kernels.CONV, x, y, count, padding) if min(y) > 0 else None
        case nn.ConvTranspose2d():
            if len(x) != 3 or x[0] != len(layer.weight):
                return None
            padding, extra = int(layer.padding[0]), layer.output_padding[0]
            height, width = (STRIDE * (n - 1) + KERNEL - 2 * padding + extra for n in x[1:])
            y = layer.weight.shape[1], height, width
            kind = kernels.CONV_TRANSPOSE
            return Step(kind, x, y, count, padding) if min(y) > 0 else None
        case nn.Flatten():
            return Step(kernels.RESHAPE, x, (prod(x),))
        case nn.Unflatten():
            y = tuple(layer.unflattened_size)
            return Step(kernels.RESHAPE, x, y) if len(x) == 1 and prod(y) == x[0] else None
        case nn.Sigmoid():
            return Step(kernels.SIGMOID, x, x)
    return None


def followed(step: Step, layer: nn.ReLU | nn.Dropout | nn.Dropout2d, x: Shape) -> Step:
    """A step with a ReLU behind it, on `x`, or with dropout of single units or whole channels.

    A unit is dropped where its level is one of the lowest, so that p is a multiple of 2^-16.
    """
    if isinstance(layer, nn.ReLU):
        return step._replace(relu=True)
    units = x[0] if isinstance(layer, nn.Dropout2d) else prod(x)
    return step._replace(units=units, dropped=round(layer.p * LEVELS) if layer.training else 0)

"""Which of a network's ReLU units are dead: answer to none of the images that a model is shown.

A unit is what has weights of its own: a neuron of a linear layer, a channel of a convolution. A
layer's name is that of its `nn.Sequential` and its place among the ReLU layers there, from 1:
"encoder_1".
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from latent_digits import engine
from latent_digits.training import ranks

PREFIX = "dead_"


class Units:
    """The ReLU units of `model`, and which have answered while it was `watched`."""

    def __init__(self, model: nn.Module):
        found = relus(model)
        self.names = [name for name, _, _ in found]
        self.layers = [relu for _, _, relu in found]
        self.live = [  # bool [units]
            before.weight.new_zeros(width(before), dtype=torch.bool) for _, before, _ in found
        ]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within the block the units' answers are noted."""
        hooks = [
            relu.register_forward_hook(engine.Watch(live))
            for relu, live in zip(self.layers, self.live, strict=True)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def dead(self) -> dict[str, float]:
        """For a history's row: the share of dead units by layer, as all processes saw it."""
        if not self.live:
            return {}
        answers = torch.cat(self.live).float()
        ranks.current().add_up(answers)
        parts = (answers == 0).split([len(live) for live in self.live])
        return {
            PREFIX + name: part.double().mean().item()
            for name, part in zip(self.names, parts, strict=True)
        }


def relus(model: nn.Module) -> list[tuple[str, Any, nn.Module]]:
    """Each ReLU layer's name, the layer before it that has units, and the layer."""
    found: list[tuple[str, Any, nn.Module]] = []
    known: set[nn.Module] = set()
    for path, stack in model.named_modules():
        if isinstance(stack, nn.Sequential):
            name, before, number = path or type(stack).__name__.lower(), None, 0
            for layer in stack:
                if isinstance(layer, nn.ReLU) and width(before):
                    number += 1
                    if layer not in known:
                        found.append((f"{name}_{number}", before, layer))
                    known.add(layer)
                elif not isinstance(layer, (nn.Dropout, nn.Dropout2d)):
                    before = layer
    return found


def width(layer: nn.Module | None) -> int:
    """How many units a layer's output has; 0 where it has none of its own."""
    match layer:
        case nn.Linear():
            return layer.out_features
        case nn.Conv2d() | nn.ConvTranspose2d():
            return layer.out_channels
        case nn.BatchNorm1d() | nn.BatchNorm2d() if layer.affine:
            return layer.num_features
    return 0


def dead_shares(row: Mapping[str, float]) -> dict[str, float]:
    """The share of dead units by layer, in a history's row."""
    return {
        name.removeprefix(PREFIX): value for name, value in row.items() if name.startswith(PREFIX)
    }


def has_dead_layer(row: Mapping[str, float]) -> bool:
    """Whether all units of a layer are dead, so that nothing passes."""
    branches = "mu_", "log_var_"  # beside one of these the other still passes
    return any(
        share == 1 and not layer.startswith(branches) for layer, share in dead_shares(row).items()
    )


def live_neurons(model: nn.Module, row: Mapping[str, float]) -> int | None:
    """The least number of live neurons in a hidden linear layer with ReLUs; None without one."""
    shares = dead_shares(row)
    found = [
        round((1 - shares[name]) * width(before))
        for name, before, _ in relus(model)
        if isinstance(before, (nn.Linear, nn.BatchNorm1d))
    ]
    return min(found, default=None)

"""Which of a network's ReLU units are dead: answer to none of the images that a model is shown.

A unit is what has weights of its own: a neuron of a linear layer, a channel of a convolution. A
layer's name is that of its stack and its place among the stack's ReLU layers, from 1: "encoder_1".
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from latent_digits.engine.dropout import ReluDropout
from latent_digits.engine.stack import Layer, Linear, Stack
from latent_digits.training import ranks

PREFIX = "dead_"


class Units:
    """The ReLU units of `model`, and who has answered so far; see `stack.watched`."""

    def __init__(self, model: nn.Module):
        self.names: dict[Layer, str] = {}
        self.live: dict[str, Tensor] = {}  # bool [units]
        for name, before, relu in relus(model):
            self.names[relu] = name
            self.live[name] = torch.zeros_like(before.bias, dtype=torch.bool)

    def __call__(self, layer: Layer, y: Tensor) -> None:
        """Note who answers, of a batch's activations [units, ..., B]."""
        if name := self.names.get(layer):
            live = self.live[name]
            if not live.all():  # of most layers only a few rows are looked at
                live[~live] = (y[~live] > 0).flatten(1).any(1)

    def dead(self) -> dict[str, float]:
        """For a history's row: the share of dead units by layer, as all processes saw it."""
        if not self.live:
            return {}
        answers = torch.cat(list(self.live.values())).float()
        ranks.current().add_up(answers)
        parts = (answers == 0).split([len(live) for live in self.live.values()])
        return {
            PREFIX + name: part.double().mean().item()
            for name, part in zip(self.live, parts, strict=True)
        }


def relus(model: nn.Module) -> list[tuple[str, Any, Layer]]:
    """Each ReLU layer's name, the layer before it, and the layer."""
    found = []
    for path, stack in model.named_modules():
        if isinstance(stack, Stack):
            name = path or type(stack).__name__.lower()
            layers: Any = pairwise(stack.layers)
            pairs = [(one, then) for one, then in layers if isinstance(then, ReluDropout)]
            found += [(f"{name}_{n}", *pair) for n, pair in enumerate(pairs, start=1)]
    return found


def dead_shares(row: Mapping[str, float]) -> dict[str, float]:
    """The share of dead units by layer, in a history's row."""
    return {
        name.removeprefix(PREFIX): value for name, value in row.items() if name.startswith(PREFIX)
    }


def severed(row: Mapping[str, float]) -> bool:
    """Whether all units of a layer are dead, so that nothing passes."""
    branches = "mu_", "log_var_"  # beside one of these the other still passes
    return any(
        share == 1 and not layer.startswith(branches) for layer, share in dead_shares(row).items()
    )


def live_neurons(model: nn.Module, row: Mapping[str, float]) -> int:
    """The least number of live neurons in a hidden linear layer."""
    shares = dead_shares(row)
    return min(
        round((1 - shares[name]) * len(before.bias))
        for name, before, _ in relus(model)
        if isinstance(before, Linear)
    )

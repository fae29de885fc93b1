"""What the engine's own steps of autograd share."""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

Backward = Callable[..., Any]


def first_order(backward: Backward) -> Backward:
    """`once_differentiable`, which costs three microseconds, where derivatives are to have some."""
    guarded = once_differentiable(backward)

    def chosen(ctx: Any, *gradients: Any) -> Any:
        return (guarded if torch.is_grad_enabled() else backward)(ctx, *gradients)

    return chosen

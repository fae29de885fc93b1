"""Dropout that PyTorch's layers and the engine draw alike, so that tests can compare both."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from latent_digits.engine import kernels
from latent_digits.engine.draws import LEVELS, draw_levels


class SameDraws(TorchFunctionMode):
    """PyTorch's dropout with the engine's draws, so that both can be compared."""

    def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
        if function not in (F.dropout, F.dropout2d):
            return function(*args, **(kwargs or {}))
        return dropped(*args, channels=function is F.dropout2d, **(kwargs or {}))


def dropped(x: Tensor, p: float, training: bool, inplace: bool, channels: bool) -> Tensor:
    """The engine's dropout behind a ReLU, in PyTorch's operations."""
    lowest = round(p * LEVELS)
    if not (training and lowest):
        return x
    units = (x.shape[1],) if channels else x.shape[1:]
    levels = draw_levels((*units, len(x)), x).movedim(-1, 0)
    kept = (levels >= lowest - LEVELS // 2) * kernels.scaling(lowest)
    return x * kept.view(len(x), *units, *(1,) * (x.ndim - 1 - len(units)))

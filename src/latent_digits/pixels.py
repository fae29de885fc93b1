"""Stored pixels as what a network reads."""

import torch
from torch import Tensor


def as_input(batch: Tensor) -> Tensor:
    """Stored pixels, uint8 in [0, 255], as floats in [0, 1]; other tensors as they are."""
    if batch.dtype != torch.uint8:
        return batch
    return batch.to(torch.float32).div_(255)

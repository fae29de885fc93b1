"""Stored pixels as what a network reads."""

import torch
from torch import Tensor


def as_input(batch: Tensor) -> Tensor:
    """Stored pixels, uint8 in [0, 255], as floats in [0, 1]; other tensors as they are.

    The shape stays, but the floats lie batch-last in memory as activations do, so that network and
    loss read them without another copy (see `latent_digits.stack`).
    """
    if batch.dtype != torch.uint8:
        return batch
    batch_last = batch.movedim(0, -1).contiguous()
    return batch_last.to(torch.float32).div_(255).movedim(-1, 0)

"""How activations and parameters lie in memory: batch-last, and one behind the other."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def batch_last(x: Tensor) -> Tensor:
    """[B, ...] as [..., B], contiguous; without a copy where it lies so already."""
    return (x.t() if x.ndim == 2 else x.movedim(0, -1)).contiguous()


class Row:
    """Tensors of which each lies behind the one before, as one vector in the same memory."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.vector: Tensor | None = None

    def of(self, tensors: Sequence[Tensor]) -> Tensor | None:
        """The vector, or None where they do not lie so; looked for again when one has moved."""
        places = [tensor.data_ptr() for tensor in tensors]
        if places != self.places:
            self.places, self.vector = places, in_a_row(tensors)
        return self.vector


def in_a_row(tensors: Sequence[Tensor]) -> Tensor | None:
    """`Row.of`, looked for."""
    storage, place, dtype = tensors[0].untyped_storage(), tensors[0].data_ptr(), tensors[0].dtype
    for tensor in tensors:
        if tensor.data_ptr() != place or tensor.dtype != dtype or not tensor.is_contiguous():
            return None
        place += tensor.nbytes
    if place > storage.data_ptr() + storage.nbytes():
        return None
    return tensors[0].detach().as_strided((sum(t.numel() for t in tensors),), (1,))


def split_like(row: Tensor, tensors: Sequence[Tensor]) -> list[Any]:
    """The parts of `row` in the shapes of `tensors`."""
    parts = row.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

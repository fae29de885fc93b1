"""A data set before it is split, and the idx format that such sets are published in."""

from typing import NamedTuple

import numpy as np

DIGITS = tuple("0123456789")


class Labelled(NamedTuple):
    """Images uint8 [N, S, S] and labels int64 [N]: positions in a list of classes, or -1."""

    images: np.ndarray
    labels: np.ndarray


class Collection(NamedTuple):
    """A data set: its name, its classes by name, its training and its test images.

    Without `classes` nothing is labelled. Without `test` its test images are yet to be drawn.
    """

    name: str
    classes: tuple[str, ...]
    train: Labelled
    test: Labelled | None


def parse_idx(content: bytes) -> np.ndarray:
    """The bytes of an idx file as an array, uint8. Raises ValueError with what is wrong."""
    dims = content[3] if len(content) > 3 and content[:3] == b"\0\0\x08" else 0
    if not dims or len(content) < 4 + 4 * dims:
        raise ValueError("it is no idx file of bytes")
    shape = np.frombuffer(content, ">u4", count=dims, offset=4).astype(int)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dims)
    if len(values) != np.prod(shape):
        raise ValueError(f"it has {len(values)} values, and by its head {np.prod(shape)}")
    return values.reshape(shape)

"""A chain of layers as a table, from which compiled code runs it forwards and backwards.

In networks this small a third of a step would pass between the loops of `kernels`
were they called one by one. Its `forwards` and `backwards` call them instead, and read here what
layer follows what. Activations lie one after the other in one piece of memory; the output, which
outlives them, has its own.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from latent_digits.engine.kernels import INPUT, OUTPUT, RELU_DROPOUT, RESHAPE, SIGMOID

Shape = tuple[int, ...]
IN_PLACE = (RELU_DROPOUT, SIGMOID, RESHAPE)


class Step(NamedTuple):
    """What a layer does to an image's activation of shape `x`, to make one of shape `y` of it."""

    kind: int
    x: Shape
    y: Shape
    parameters: int = 0  # how many numbers weight and bias are, which follow each other
    padding: int = 0
    windows: int = 0  # floats that a convolution keeps for its derivative
    units: int = 0  # each dropped or kept as a whole
    dropped: int = 0  # of `kernels.LEVELS`


KINDS = ("kind", "padding", "units", "dropped")
OUT_SIZES = ("out_channels", "out_rows", "out_cols")
SIZES = ("channels", "rows", "cols", *OUT_SIZES)
PLACES = ("weight", "windows", "x", "y")
# "again": another branch has left a gradient of `x` already, to which this step's is added.
ROW = np.dtype([(name, np.int64) for name in (*KINDS, "again", *SIZES, *PLACES)])


class Chain(NamedTuple):
    """Steps as compiled code reads them."""

    table: np.ndarray  # of ROW, a row a step
    parameters: int  # how many numbers
    floats: int  # of memory that an image takes
    y: Shape
    draws: bool  # whether any step drops units


def chain(trunk: Sequence[Step], branches: Sequence[Sequence[Step]] = ()) -> Chain:
    """Lay out what steps need in memory, their parameters in order.

    The output is the trunk's, or that of the branch which reads that; of several `branches`, one
    output [F] after the other.
    """
    rows = []
    floats = weight = before = 0
    fork = INPUT
    lines = trunk, *branches
    for number, line in enumerate(lines):
        y = fork
        first, *_, last = [n for n, step in enumerate(line) if step.kind not in IN_PLACE] * 2
        for n, step in enumerate(line):
            x, windows = y, floats
            floats += step.windows
            if n == last and (number or not branches):
                y = OUTPUT - before
                before += prod(step.y)
            elif step.kind not in IN_PLACE:
                y = floats
                floats += prod(step.y)
            again = n == first and 0 < number < len(branches)  # the last one's comes first
            sizes = [size for shape in (step.x, step.y) for size in (*shape, 1, 1)[:3]]
            numbers = step.kind, step.padding, step.units, step.dropped, again
            rows.append((*numbers, *sizes, weight, windows, x, y))
            weight += step.parameters
        fork = fork if number else y
    shape = (before,) if len(branches) > 1 else lines[-1][-1].y
    draws = any(step.dropped for line in lines for step in line)
    return Chain(np.array(rows, ROW), weight, floats, shape, draws)

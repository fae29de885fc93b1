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

from latent_digits.engine.kernels import INPUT, OUTPUT, RESHAPE, SIGMOID, STEP

Shape = tuple[int, ...]
IN_PLACE = (SIGMOID, RESHAPE)


class Step(NamedTuple):
    """What a layer does to an image's activation of shape `x`, to make one of shape `y` of it."""

    kind: int
    x: Shape
    y: Shape
    parameters: int = 0  # how many numbers weight and bias are, which follow each other
    padding: int = 0
    relu: bool = False  # behind it, and dropout behind that:
    units: int = 0  # each dropped or kept as a whole
    dropped: int = 0  # of `kernels.LEVELS`


class Chain(NamedTuple):
    """Steps as compiled code reads them."""

    table: np.ndarray  # of STEP, a row a step
    floats: int  # of memory that an image takes
    floats_back: int  # and on the way back besides
    shapes: list[Shape]  # of what each step makes
    strides: list[int]  # of the output's shape, in floats an image
    drops: int  # how many steps drop units
    reads_output: bool  # whether the way back does


def chain(steps: Sequence[Step]) -> Chain:
    """Lay out what steps need in memory, and their parameters, which follow each other in order.

    The last step with an output of its own, and those in place on it, make the chain's.
    """
    rows = []
    floats = weight = 0
    y = of_y = INPUT
    relu, dropped = False, 0  # behind the layer before
    last = max(n for n, step in enumerate(steps) if step.kind not in IN_PLACE)
    # On the way back no more than two gradients are needed at once: they lie here in turn.
    room = max((prod(step.y) for step in steps[:last]), default=0)
    for n, step in enumerate(steps):
        x, of_x = y, of_y
        if n == last:
            y = of_y = OUTPUT
        elif step.kind not in IN_PLACE:
            y, of_y = floats, room if of_y == 0 else 0
            floats += prod(step.y)
        sizes = [size for shape in (step.x, step.y) for size in (*shape, 1, 1)[:3]]
        numbers = step.kind, step.padding, step.relu, step.units, step.dropped, relu, dropped
        rows.append((*numbers, *sizes, weight, x, y, of_x, of_y))
        weight += step.parameters
        if step.kind != RESHAPE:
            relu, dropped = step.relu, step.dropped
    drops = sum(step.dropped > 0 for step in steps)
    reads_output = any(step.relu or step.kind == SIGMOID for step in steps[last:])
    shapes = [step.y for step in steps]
    strides = [prod(shapes[-1][n + 1 :]) for n in range(len(shapes[-1]))]
    return Chain(np.array(rows, STEP), floats, 2 * room, shapes, strides, drops, reads_output)

"""What the classifier takes each class for."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from latent_digits.report.dataset_info import DatasetInfo
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import (
    INK,
    LETTER,
    LINE,
    MUTED,
    SMALL,
    WIDTH,
    literal,
    percent,
    shortened,
)

CELL = 0.385  # inches, where there is room
ROUND = (1.08, 0.55)  # inches around the matrix, but for the names of the classes
TIGHT = 0.112  # inches a row of small type, at least


class Axis(NamedTuple):
    """What stands beside the rows, and in inches how wide that is and the side of a cell."""

    names: Sequence[str]
    width: float
    cell: float

    @property
    def every(self) -> int:
        """Of how many rows one has room for its name."""
        return math.ceil(TIGHT / self.cell)


def axis_of(dataset: DatasetInfo) -> Axis:
    """The classes' names, or their signs where names leave no room."""
    named, signed = (
        axis_with(names) for names in ([*map(shortened, dataset.classes)], dataset.signs)
    )
    return named if named.every == 1 else signed


def axis_with(names: Sequence[str]) -> Axis:
    width = LETTER * max(map(len, names))
    return Axis(names, width, min(CELL, (WIDTH - ROUND[0] - width) / len(names)))


def confusion(study: Study) -> Drawing:
    matrix, dataset = study["classifier.confusion"], study.dataset
    total, right = int(matrix.sum()), int(np.trace(matrix))
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    true, read = divmod(int(wrong.argmax()), len(wrong))
    worst = int(recalls(matrix).argmin())
    noun, axis = dataset.noun, axis_of(dataset)
    signed = " Classes have their signs of figure 9." if axis.names == dataset.signs else ""
    return Drawing(
        "confusion",
        f"{total:,} test images by true {noun} and by the {noun} that the classifier on the "
        "pretrained encoder reads. Orange: errors, the more the darker; right, the share of each "
        f"{noun} that is read rightly.{signed}",
        f"{right:,} of {total:,} images lie on the diagonal and {total - right:,} beside it"
        f"{study.seen(', scattered thinly')}. The most frequent error is {dataset.a(true)} that is "
        f"read as {dataset.named(read)} ({wrong[true, read]} times); {dataset.the(worst)} is read "
        f"rightly least often, {percent(recalls(matrix)[worst], 1)}.",
        lambda: draw(matrix, wrong, axis, noun),
    )


def recalls(matrix: np.ndarray) -> np.ndarray:
    """The share of each class's images that are read rightly."""
    return np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)


def draw(matrix: np.ndarray, wrong: np.ndarray, axis: Axis, noun: str) -> Figure:
    count, cell = len(matrix), axis.cell
    below = axis.width if axis.width > cell else 0.0  # where names are turned
    named = range(0, count, axis.every)
    names = [literal(axis.names[n]) for n in named]
    figure = Figure(
        figsize=(ROUND[0] + axis.width + cell * count, ROUND[1] + below + cell * count),
        layout="constrained",
    )
    ax = figure.subplots()
    oranges = ListedColormap(colormaps["Oranges"](np.linspace(0, 0.65, 256)))
    shown = np.ma.masked_equal(wrong, 0)
    ax.imshow(shown, cmap=oranges, vmin=0, vmax=max(int(wrong.max()), 1), interpolation="none")
    for (row, column), number in np.ndenumerate(matrix):
        if number and max(LETTER * len(str(number)), LINE) < cell:
            weight, colour = ("bold", MUTED) if row == column else ("normal", INK)
            ax.text(column, row, str(number), ha="center", va="center", size=SMALL, weight=weight,
                    color=colour)  # fmt: skip
    edge, shares = count - 0.25, recalls(matrix)
    for row in named:
        ax.text(edge, row, percent(shares[row], 1), va="center", size=SMALL)
    ax.text(edge, -0.85, "right", va="center", size=SMALL)
    ax.set(xlabel=f"{noun} that is read", ylabel=f"true {noun}")
    ax.set_xticks(named, names, rotation=90 if below else 0)
    ax.set_yticks(named, names)
    ax.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    ax.grid(visible=True, which="minor")
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    return figure

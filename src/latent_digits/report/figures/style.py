"""How every figure looks: sizes in inches, type, and colours that colour-blind readers tell apart.

A figure is as wide as a page's column at most and keeps its scale, so that type is equally large in
all. Hues are Okabe & Ito's ("Color universal design", 2008); no figure needs them alone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.ticker as ticker
import numpy as np
from matplotlib.axes import Axes

WIDTH = 7.0
SMALL = 8  # points: the smallest type
LINE, LETTER = 0.145, 0.07  # inches that a line, and a letter or digit, of it take
INK, MUTED, PALE = "#222222", "#6b6b6b", "#c8c8c8"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#00805f", "#a8578a"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "svg.fonttype": "path",  # a reader may not have the font
}


def log_scale(ax: Axes, *, between: bool = True) -> None:
    """A logarithmic y axis with plain numbers at 1, 2 and 5 of each decade, or at 1 alone."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if between else (1,)))
    ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(ticker.NullLocator())
    ax.grid(visible=True, axis="y")


class End(NamedTuple):
    """Where a line ends, and what it is called there."""

    name: str
    colour: str
    x: float
    y: float


def name_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Each line's name right of its end, none over another."""
    ax.set_ylim(ax.get_ylim())
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = [to_axes.transform((end.x, end.y))[1] for end in ends]
    for end, height in zip(ends, spread(heights, 0.08), strict=True):
        ax.annotate(
            end.name,
            (end.x, height),
            (7, 0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            color=end.colour,
            size=SMALL,
            va="center",
        )


def spread(places: Sequence[float], apart: float) -> np.ndarray:
    """The places in their order, moved as little as needed to lie `apart` from each other."""
    order = np.argsort(places, kind="stable")
    steps = apart * np.arange(len(order))
    # Without the steps between them, places must not decrease: the nearest such series is known.
    found = np.empty(len(order))
    found[order] = not_decreasing(np.asarray(places, float)[order] - steps) + steps
    return found


def not_decreasing(values: np.ndarray) -> np.ndarray:
    """The nearest series, by squares, that does not decrease: what is out of order is pooled."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, m), (other, n) = pools[-2:]
            pools[-2:] = [((m * one + n * other) / (m + n), m + n)]
    return np.repeat([mean for mean, _ in pools], [count for _, count in pools])


def literal(name: str) -> str:
    """A name as matplotlib draws it letter by letter: a dollar would begin a formula."""
    return name.replace("$", r"\$")


def shortened(name: str, longest: int = 20) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def sentences(*parts: str) -> str:
    """Those that say something, one after the other."""
    return " ".join(filter(None, parts))


def listed(words: Sequence[Any]) -> str:
    """The words as a list in a sentence: "a, b and c", or "none"."""
    *most, last = [str(word) for word in words] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last

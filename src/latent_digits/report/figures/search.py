"""The search: a line a trial through all hyperparameters, and how much each of them matters."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from latent_digits.data.storage import Row
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import BLUE, INK, MUTED, ORANGE, PALE, SMALL, WIDTH, listed

BINS = 4
STATES = ("complete", "pruned", "degenerate", "failed")
ORDER = ("pruned", "degenerate", "failed", "complete")  # from below to above
VIRIDIS = colormaps["viridis"]
LOOKS: dict[str, dict[str, Any]] = {
    "best": {"color": ORANGE, "lw": 2.4},
    "pruned": {"color": PALE, "lw": 0.8},
    "degenerate": {"color": MUTED, "ls": (0, (1, 1.6)), "lw": 0.8},
    "failed": {"color": MUTED, "ls": (0, (5, 2)), "lw": 0.8},
}
NUMBERS = ("latent_dim", "lr", "dropout")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
Shares = dict[str, float | None]  # of the variance, by hyperparameter
NO_SEARCH = "no search: tune.report_hyperparameters were used (tune.trials is 0)"


class Scale(NamedTuple):
    """A hyperparameter's axis: its name, how it is scaled, and where it may have ticks."""

    title: str
    kind: str
    ticks: Sequence[float] = ()

    def of(self, values: Sequence[Any]) -> np.ndarray:
        """Heights before they are fitted to the axis."""
        if self.kind == "kinds":
            kinds = ordered(values)
            return np.array([kinds.index(value) for value in values], float)
        scales = {"log": np.log, "powers": np.log, "root": np.sqrt, "linear": np.asarray}
        return scales[self.kind](np.asarray(values, float))

    def ends(self, heights: np.ndarray) -> tuple[float, float]:
        """Of the axis: the ticks next to the values; of kinds, the first and the last."""
        ticks = self.of(self.ticks) if self.ticks else heights
        low, high = ticks[ticks <= heights.min() + 1e-9], ticks[ticks >= heights.max() - 1e-9]
        return float(low.max()), float(high.min())


SCALES = {
    "latent_dim": Scale("latents", "linear", range(0, 20_001, 10)),
    "optimizer": Scale("optimizer", "kinds"),
    "lr": Scale("learning rate", "powers", [10.0**power for power in range(-8, 4)]),
    "batch_size": Scale("batch size", "kinds"),
    "dropout": Scale("dropout", "root", (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)),
    "channels": Scale("channels", "kinds"),
    "units": Scale("units", "kinds"),
    "val_mse": Scale(
        "validation MSE", "log", [m * 10.0**p for p in range(-6, 3) for m in (1, 2, 5)]
    ),
}
HPARAMS = [name for name in SCALES if name != "val_mse"]
WIDTHS = ("channels", "units")  # of the layers: shown where the search had a choice


def search(study: Study) -> Drawing:
    tried = [row for row in study.trials if row["val_mse"] is not None]
    if not tried:
        return Drawing("fig13_search", "The search.", f"A line of text: {NO_SEARCH}.", nothing)
    counts = {state: sum(row["state"] == state for row in study.trials) for state in STATES}
    first = importances(tried, "val_mse_1")
    last = importances([row for row in tried if row["state"] == "complete"], "val_mse")
    return Drawing(
        "fig13_search",
        f"The search, a line a trial: {counts['complete']} complete (the lighter the worse), "
        f"{counts['pruned']} pruned (up to the MSE that they had by then), "
        f"{counts['degenerate']} degenerate, {counts['failed']} failed; dropout on a square root's "
        "scale. Below, the share of the variance of log MSE that a hyperparameter alone explains, "
        "by kind or in four bins of equally many trials, less what chance explains (ε², Kelley "
        f"1935): after the first epoch, over all {len(tried)} trials with a value, and at the end, "
        "over the complete ones, which pruning has chosen (a dash: nothing to compare).",
        seen(tried, first),
        lambda: parallel_coordinates(tried, counts, first, last),
    )


def seen(tried: list[Row], first: Shares) -> str:
    """In words: where the best trial and the better half of the complete ones lie."""
    best = best_of(tried)
    done = sorted(row["val_mse"] for row in tried if row["state"] == "complete")
    ends = f", from {done[0]:.4f} to {done[-1]:.4f}" if done else ""
    better = [row for row in tried if done and row["val_mse"] <= done[(len(done) - 1) // 2]]
    shares = {name: share for name, share in first.items() if share is not None}
    order = sorted(shares, key=lambda name: -shares[name])
    has = [
        f"{best['latent_dim']:.0f} latents",
        best["optimizer"],
        f"a learning rate of {best['lr']:.2g}",
        f"a batch of {best['batch_size']:.0f}",
        f"a dropout of {best['dropout']:.2g}",
        *(f"{name} {kind_text(best[name])}" for name in WIDTHS if name in chosen(tried)),
    ]
    return (
        f"{len(done)} lines reach a final validation MSE{ends}; the better half of them runs "
        f"through {listed([spanned(name, better) for name in NUMBERS if better])}. The best, trial "
        f"{best['trial']:.0f}, has {listed(has)}. Shares explained after the first epoch: "
        f"{listed([f'{SCALES[name].title} {shares[name]:.2f}' for name in order])}."
    )


def chosen(rows: list[Row]) -> list[str]:
    """The hyperparameters that are shown: widths only if the search had a choice."""
    return [
        name for name in HPARAMS if name not in WIDTHS or len({row.get(name) for row in rows}) > 1
    ]


def spanned(name: str, rows: list[Row]) -> str:
    values = [row[name] for row in rows]
    return f"{SCALES[name].title} {min(values):.2g} to {max(values):.2g}"


def best_of(tried: list[Row]) -> Row:
    return min(tried, key=lambda row: (row["state"] != "complete", row["val_mse"]))


def importances(rows: list[Row], value: str) -> Shares:
    """By hyperparameter, the share of the variance of a log value that it explains; None where it
    has one value only, or the rows are too few.
    """
    rows = [row for row in rows if row.get(value)]
    values = np.log([row[value] for row in rows])
    return {name: explained(groups(name, rows), values) for name in HPARAMS}


def groups(name: str, rows: list[Row]) -> np.ndarray:
    """A row's bin of equally many rows; of a hyperparameter of kinds, its kind."""
    heights = SCALES[name].of([row.get(name) for row in rows])
    if SCALES[name].kind == "kinds":
        return heights.astype(int)
    ranks = heights.argsort(kind="stable").argsort(kind="stable")
    return ranks * BINS // max(len(rows), 1)


def explained(groups: np.ndarray, values: np.ndarray) -> float | None:
    """ε²: the share of the variance that is between groups, less what chance puts there."""
    kinds, rest = len(np.unique(groups)), len(values) - len(np.unique(groups))
    total = ((values - values.mean()) ** 2).sum() if len(values) else 0.0
    if kinds < 2 or rest < 1 or not total:
        return None
    within = sum(
        ((values[groups == one] - values[groups == one].mean()) ** 2).sum()
        for one in np.unique(groups)
    )
    return max(0.0, float(1 - within / rest * (len(values) - 1) / total))


def parallel_coordinates(tried: list[Row], counts: Row, first: Shares, last: Shares) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.9), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(3.1, 1), sharex=True)
    names = chosen(tried)
    axes = [*names, "val_mse"]
    heights = np.array([fitted(top, x, name, tried) for x, name in enumerate(axes)]).T
    lines(top, heights, tried)
    key(top, counts)
    top.set(xlim=(-0.35, len(axes) - 0.55), ylim=(-0.04, 1.03))
    top.set_axis_off()
    bars(bottom, names, first, last)
    return figure


def lines(ax: Axes, heights: np.ndarray, tried: list[Row]) -> None:
    """A line a trial: complete ones above the others, better ones above worse, the best on top."""
    states, values = [row["state"] for row in tried], heights[:, -1]
    done = values[[state == "complete" for state in states]]
    norm = Normalize(done.min(), done.max()) if len(done) else Normalize(0, 1)
    for place in sorted(range(len(tried)), key=lambda n: (ORDER.index(states[n]), -values[n])):
        shade = {"color": VIRIDIS(0.9 * norm(values[place])), "lw": 1.2}
        level = 2 + ORDER.index(states[place]) / 10
        ax.plot(heights[place], zorder=level, **LOOKS.get(states[place], shade))
    best = tried.index(best_of(tried))
    ax.plot(heights[best], zorder=3, **LOOKS["best"])
    says = {"color": ORANGE, "size": SMALL, "weight": "bold", "va": "center"}
    ax.text(heights.shape[1] - 0.95, values[best], f"{tried[best]['val_mse']:.4f}", **says)


def key(ax: Axes, counts: Row) -> None:
    shown = [state for state in STATES if counts[state] or state != "failed"]
    entries = [Line2D([], [], label="best", **LOOKS["best"])]
    for state in shown:
        look = LOOKS.get(state, {"color": VIRIDIS(0.2)})
        entries.append(Line2D([], [], label=f"{state} ({counts[state]})", **look))
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.09)}
    ax.legend(handles=entries, ncols=len(entries), **place)


def fitted(ax: Axes, x: int, name: str, rows: list[Row]) -> np.ndarray:
    """Draw a hyperparameter's axis at `x`, with ticks; returns the rows' heights on it, in [0, 1].

    What has few kinds is spread a little by the trial's number, so that lines do not hide others.
    """
    scale, values = SCALES[name], [row[name] for row in rows]
    raw = scale.of(values)
    low, high = scale.ends(raw)
    extent = high - low or 1.0
    if scale.kind == "kinds":
        ticks = {kind_text(kind): float(n) for n, kind in enumerate(ordered(values))}
    else:
        heights = zip(scale.ticks, scale.of(scale.ticks), strict=True)
        ticks = {as_text(tick, scale.kind): at for tick, at in heights if low <= at <= high}
    ax.plot([x, x], [0, 1], color=INK, lw=1, zorder=4)
    ax.text(x, 1.06, scale.title, ha="center", size=SMALL)
    for text, at in ticks.items():
        height = (at - low) / extent
        ax.plot([x - 0.03, x], [height, height], color=INK, lw=1, zorder=4)
        box = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75}
        ax.text(x - 0.05, height, text, size=SMALL, ha="right", va="center", bbox=box, zorder=5)
    shift = np.zeros(len(rows))
    if scale.kind == "kinds":
        shift = 0.05 * (np.arange(len(rows)) % 11 / 5 - 1)
    return np.clip((raw - low) / extent + shift, 0, 1)


def ordered(kinds: Sequence[Any]) -> list[Any]:
    """Each kind once, by the numbers in it: [8, 16] before [16, 32]."""
    return sorted(
        set(kinds), key=lambda kind: ([*map(float, re.findall(r"[\d.]+", str(kind)))], str(kind))
    )


def kind_text(kind: float | str) -> str:
    return kind.strip("[]") if isinstance(kind, str) else f"{kind:g}"


def as_text(tick: float, kind: str) -> str:
    """A tick's number; 10⁻⁵ for 0.00001 where there are such."""
    return (
        f"10{f'{np.log10(tick):.0f}'.translate(SUPERSCRIPTS)}" if kind == "powers" else f"{tick:g}"
    )


def bars(ax: Axes, names: Sequence[str], first: Shares, last: Shares) -> None:
    """Two bars a hyperparameter, below its axis."""
    count = len(names)
    for shares, side, colour in ((first, -1, BLUE), (last, 1, PALE)):
        for x, name in enumerate(names):
            share, at = shares[name], x + 0.028 * max(count, 5) * side  # room for the numbers
            ax.bar(at, share or 0, width=0.24, color=colour)
            text = "–" if share is None else f"{share:.2f}"
            ax.text(at, (share or 0) + 0.03, text, size=SMALL, ha="center")
    handles = [
        Line2D([], [], color=BLUE, lw=6, label="after\nepoch 1"),
        Line2D([], [], color=PALE, lw=6, label="complete,\nat the end"),
    ]
    place = {"loc": "center", "bbox_to_anchor": (count / (count + 0.6), 0.5)}
    ax.legend(handles=handles, handlelength=0.8, **place)
    ax.set(ylim=(0, 1.1), yticks=(0, 0.5, 1), ylabel="explains (ε²)")
    ax.tick_params(axis="x", length=0, labelbottom=False)
    ax.spines["bottom"].set_bounds(-0.35, count - 0.65)


def nothing() -> Figure:
    figure = Figure(figsize=(WIDTH, 0.5))
    figure.text(0.5, 0.5, NO_SEARCH, ha="center", va="center")
    return figure

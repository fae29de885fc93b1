"""Latents in two dimensions: points that are told apart by the sign of their class, drawn there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from latent_digits.report.dataset_info import DatasetInfo
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import (
    BLUE,
    INK,
    LETTER,
    SMALL,
    WIDTH,
    literal,
    percent,
    sentences,
    shortened,
)

# Ten hues are too many to tell apart, so they only help, and come again where there are more
# classes: some points are drawn as their class's sign.
HUES = (
    *("#332288", "#2f84b5", "#2a8c7d", "#117733", "#7d7d1c"),
    *("#a37f14", "#c4485a", "#882255", "#9c3f8e", "#4d4d4d"),
)
SIGNS_ACROSS = 28  # at most, side by side
ROW = 0.17  # inches of the key
ISLANDS = 0.85  # of the points are nearest to their own median


class Points(NamedTuple):
    """Places [N, 2], the labels of their images if these have any, and what labels name."""

    places: np.ndarray
    labels: np.ndarray | None
    dataset: DatasetInfo


def scatter(ax: Axes, points: Points) -> None:
    """Every point as a dot, and as its class's sign wherever there is room for one."""
    places, labels, dataset = points
    colours = BLUE if labels is None else np.array(HUES)[labels % len(HUES)]
    ax.scatter(*places.T, s=3, c=colours, alpha=0.35, lw=0, rasterized=True)
    if labels is None:
        return
    ends = np.array([ax.get_xlim(), ax.get_ylim()])
    margin = 0.012 * np.ptp(ends, axis=1)  # so that no sign is cut
    inside = ((places > ends[:, 0] + margin) & (places < ends[:, 1] - margin)).all(axis=1)
    across = np.ptp(ends, axis=1).max() * max(map(len, dataset.signs)) ** 0.5
    written = np.flatnonzero(inside)[apart(places[inside], across)]
    for label in np.unique(labels):
        mine = written[labels[written] == label]
        sign, hue = dataset.signs[label], HUES[label % len(HUES)]
        ax.scatter(*places[mine].T, s=size(sign), c=hue, marker=marker(sign), lw=0.15)


def marker(sign: str) -> str:
    """The sign in upright letters, as matplotlib's formulas have it."""
    return rf"$\mathrm{{{sign}}}$"


def size(sign: str) -> float:
    """The area of a marker, which is fitted to its longer side."""
    return 34 * len(sign) ** 1.5


def key(figure: Figure, dataset: DatasetInfo) -> None:
    """Below the figure, which grows by it: which class a sign stands for, where it is no name."""
    if dataset.signs == dataset.classes:
        return
    names = [shortened(name) for name in dataset.classes]
    width, height = figure.get_size_inches()
    columns = min(len(names), int(width / (0.4 + LETTER * max(map(len, names)))))
    figure.set_size_inches(width, height + ROW * -(-len(names) // columns) + 0.1)
    entries = [
        Line2D([], [], ls="", marker=marker(sign), ms=size(sign) ** 0.5, mew=0.15,
               color=HUES[label % len(HUES)], label=literal(name))
        for label, (sign, name) in enumerate(zip(dataset.signs, names, strict=True))
    ]  # fmt: skip
    figure.legend(handles=entries, ncols=columns, loc="outside lower center", borderpad=0,
                  handletextpad=0.1, columnspacing=1.2)  # fmt: skip


def apart(points: np.ndarray, across: float) -> list[int]:
    """The places of points none of which is close to an earlier one, first come, first served."""
    kept: list[int] = []
    for place, point in enumerate(points):
        if (((points[kept] - point) ** 2).sum(axis=1) > (across / SIGNS_ACROSS) ** 2).all():
            kept.append(place)
    return kept


def frame(ax: Axes, points: np.ndarray) -> None:
    """Axes around all points, equally scaled."""
    margin = 0.02 * np.ptp(points, axis=0).max()
    (left, bottom), (right, top) = points.min(axis=0) - margin, points.max(axis=0) + margin
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def nearest(points: np.ndarray, labels: np.ndarray) -> tuple[float, tuple[int, int]]:
    """The share of points nearer to their own class's median than to another's, and which class is
    taken most often for which.
    """
    known, found = np.unique(labels, return_inverse=True)
    medians = np.array([np.median(points[labels == label], axis=0) for label in known])
    taken = ((points[:, None] - medians) ** 2).sum(axis=-1).argmin(axis=1)
    table = np.zeros((len(known), len(known)), int)
    np.add.at(table, (found, taken), 1)
    share = np.trace(table) / len(labels)
    np.fill_diagonal(table, 0)
    one, other = np.unravel_index(table.argmax(), table.shape)
    return float(share), (int(known[one]), int(known[other]))


def overlap(points: Points) -> str:
    """A sentence on how far the classes lie over each other; "" without classes."""
    places, labels, dataset = points
    if labels is None:
        return ""
    share, (one, other) = nearest(places, labels)
    said = (
        f"{percent(share)} of the points are nearer to the median of their own {dataset.noun} than "
        "to another's"
    )
    if share == 1:
        return f"{said}."
    others = f"{dataset.the(other)}{'s' * dataset.is_of_digits}"
    return f"{said}; most often {dataset.a(one)} is nearer to {others}."


def signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def shown(study: Study, name: str) -> Points:
    """The points that figures show."""
    most, dataset = study.max_points, study.dataset
    labels = study["val.labels"][:most] if dataset.labelled else None
    return Points(study[name][:most], labels, dataset)


def principal_components(study: Study) -> Drawing:
    points, dataset = shown(study, "ae.pca"), study.dataset
    shares = study["ae.variance_shares"]
    summed = 100 * shares.cumsum()
    most = int((summed < 90).sum()) + 1
    sign = f"its {dataset.noun}" if dataset.signs == dataset.classes else "the sign of its class"
    written = f" and, where there is room, {sign}" * dataset.labelled
    return Drawing(
        "fig09_pca",
        f"The autoencoder's latents of {len(points.places):,} validation images on their first two "
        f"principal components, each point a dot{written}; right, the variance "
        f"that the first of {len(shares)} components have together.",
        sentences(
            study.seen("The digits form regions that overlap much: ") + overlap(points),
            f"The two components have {summed[1]:.0f} % of the variance; for 90 % it takes {most} "
            f"of {len(shares)}.",
        ),
        lambda: on_components(points, shares, summed),
    )


def on_components(points: Points, shares: np.ndarray, summed: np.ndarray) -> Figure:
    """Left the points, right how much of the variance the components have."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2.6, 1))
    frame(left, points.places)
    scatter(left, points)
    left.set(
        xlabel=f"principal component 1 ({percent(shares[0])} of the variance)",
        ylabel=f"principal component 2 ({percent(shares[1])})",
    )
    right.plot(range(1, len(summed) + 1), summed, color=BLUE, marker=".", ms=4, lw=1)
    right.plot(2, summed[1], "o", ms=7, mfc="none", mec=INK)
    right.annotate(
        f"the plane:\n{summed[1]:.0f} %", (2, summed[1]), (0.3, 0.12), size=SMALL,
        textcoords="axes fraction", arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.6},
    )  # fmt: skip
    right.set(xlabel="components", ylabel="% of the variance", ylim=(0, 102))
    right.grid(visible=True)
    key(figure, points.dataset)
    return figure


def tsne(study: Study) -> Drawing:
    points, dataset = shown(study, "ae.tsne"), study.dataset
    if points.labels is None:
        groups = f"{len(points.places):,} dots."
    elif nearest(points.places, points.labels)[0] > ISLANDS:
        groups = f"An island for each {dataset.noun}, with few strangers: "
    else:
        groups = f"Groups of mixed {dataset.nouns}: "
    return Drawing(
        "fig10_tsne",
        f"The same {len(points.places):,} latents by t-SNE. Distances between islands and their "
        "sizes say nothing, so the axes have no numbers.",
        groups + overlap(points),
        lambda: scattered(points, ("t-SNE 1", "t-SNE 2")),
    )


def scattered(points: Points, names: Sequence[str]) -> Figure:
    """Points on axes without numbers."""
    figure = Figure(figsize=(5.6, 5.5), layout="constrained")
    ax = figure.subplots()
    frame(ax, points.places)
    scatter(ax, points)
    ax.set(xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    key(figure, points.dataset)
    return figure


def plane(study: Study, name: str, prior: bool) -> Figure:
    """Left the points of two latents, right what the decoder draws at the same places."""
    points = shown(study, f"{name}.z")
    window, grid = study[f"{name}.window"], study[f"{name}.grid"]
    figure = Figure(figsize=(WIDTH, 3.85), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax in (left, right):
        ax.set(xlim=window[0], ylim=window[1], aspect="equal", xlabel="latent 1")
    scatter(left, points)
    if prior:
        for radius in (1, 2):
            left.add_patch(Circle((0, 0), radius, fill=False, ec=INK, lw=0.8, ls=(0, (4, 2))))
    left.set(ylabel="latent 2", title="Where the images lie")
    mosaic = np.concatenate(np.concatenate(grid, axis=1), axis=1)
    right.imshow(
        mosaic, cmap="gray_r", vmin=0, vmax=1, interpolation="none", extent=tuple(window.ravel())
    )
    right.set(title="What the decoder draws there")
    right.spines[:].set_visible(False)
    right.tick_params(axis="y", length=0)
    key(figure, points.dataset)
    return figure


def outside(study: Study, name: str) -> int:
    """How many of the points lie outside the window."""
    low, high = study[f"{name}.window"].T
    places = shown(study, f"{name}.z").places
    return int(((places < low) | (places > high)).any(axis=1).sum())


def shown_there(study: Study, name: str) -> str:
    """What both panels have, in words."""
    count, side = len(shown(study, f"{name}.z").places), len(study[f"{name}.grid"])
    return (
        f"{count:,} validation images ({outside(study, name)} lie outside), and what the decoder "
        f"makes of {side} × {side} places"
    )


def autoencoder_plane(study: Study) -> Drawing:
    points = shown(study, "ae_2d.z")
    low, high = points.places.min(), points.places.max()
    return Drawing(
        "fig11_autoencoder_plane",
        f"The plane of the autoencoder with two latents: {shown_there(study, 'ae_2d')}.",
        sentences(
            study.seen("Digits lie in rays from a crowded middle; the latents", "The latents")
            + f" go from {signed(low)} to {signed(high)}.",
            overlap(points),
            study.seen(
                "Decoded, the places between rays and far from all points are shapes that are no "
                "digits."
            ),
        ),
        lambda: plane(study, "ae_2d", prior=False),
    )


def vae_plane(study: Study) -> Drawing:
    points = shown(study, "vae_2d.z")
    within = f"{percent((np.hypot(*points.places.T) < 2).mean())} of the points"
    return Drawing(
        "fig12_vae_plane",
        f"The plane of the VAE with two latents, the means: {shown_there(study, 'vae_2d')}. "
        "Dashed: one and two standard deviations of the prior N(0, I).",
        sentences(
            study.seen(
                f"Digits fill a round cloud about the origin without gaps: {within}",
                f"{within} lie",
            )
            + " within two standard deviations of the prior.",
            overlap(points),
            study.seen(
                "Decoded, almost every place is a digit and neighbours change into each other "
                "smoothly."
            ),
        ),
        lambda: plane(study, "vae_2d", prior=True),
    )

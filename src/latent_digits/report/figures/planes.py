"""Latents in two dimensions: points that are told apart by the digit written there."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import BLUE, INK, SMALL, WIDTH, percent

# Ten hues are too many to tell apart, so they only help: some points are drawn as their digit.
HUES = (
    *("#332288", "#2f84b5", "#2a8c7d", "#117733", "#7d7d1c"),
    *("#a37f14", "#c4485a", "#882255", "#9c3f8e", "#4d4d4d"),
)
DIGITS_ACROSS = 28  # at most, side by side


def scatter(ax: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    """Every point [N, 2] as a dot, and as its digit wherever there is room for one."""
    colours = np.array(HUES)[labels]
    ax.scatter(*points.T, s=3, c=colours, alpha=0.35, lw=0, rasterized=True)
    ends = np.array([ax.get_xlim(), ax.get_ylim()])
    margin = 0.012 * np.ptp(ends, axis=1)  # so that no digit is cut
    inside = ((points > ends[:, 0] + margin) & (points < ends[:, 1] - margin)).all(axis=1)
    written = np.flatnonzero(inside)[apart(points[inside], np.ptp(ends, axis=1).max())]
    for digit in np.unique(labels):
        mine = written[labels[written] == digit]
        ax.scatter(*points[mine].T, s=34, c=HUES[digit], marker=f"${digit}$", lw=0.15)


def apart(points: np.ndarray, across: float) -> list[int]:
    """The places of points none of which is close to an earlier one, first come, first served."""
    kept: list[int] = []
    for place, point in enumerate(points):
        if (((points[kept] - point) ** 2).sum(axis=1) > (across / DIGITS_ACROSS) ** 2).all():
            kept.append(place)
    return kept


def frame(ax: Axes, points: np.ndarray) -> None:
    """Axes around all points, equally scaled."""
    margin = 0.02 * np.ptp(points, axis=0).max()
    (left, bottom), (right, top) = points.min(axis=0) - margin, points.max(axis=0) + margin
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def nearest(points: np.ndarray, labels: np.ndarray) -> tuple[float, tuple[int, int]]:
    """The share of points nearer to their own digit's median than to another's, and which digit is
    taken most often for which.
    """
    digits = np.unique(labels)
    medians = np.array([np.median(points[labels == digit], axis=0) for digit in digits])
    found = digits[((points[:, None] - medians) ** 2).sum(axis=-1).argmin(axis=1)]
    table = np.zeros((10, 10), int)
    np.add.at(table, (labels, found), 1)
    share = np.trace(table) / len(labels)
    np.fill_diagonal(table, 0)
    one, other = np.unravel_index(table.argmax(), table.shape)
    return float(share), (int(one), int(other))


def overlap(points: np.ndarray, labels: np.ndarray) -> str:
    share, (one, other) = nearest(points, labels)
    return (
        f"{percent(share)} of the points are nearer to the median of their own digit than to "
        f"another's; most often a {one} is nearer to the {other}s."
    )


def signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def shown(study: Study, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The points and labels that figures show."""
    return study[name][: study.max_points], study["val.labels"][: study.max_points]


def principal_components(study: Study) -> Drawing:
    points, labels = shown(study, "ae.pca")
    shares = study["ae.variance_shares"]
    summed = 100 * shares.cumsum()
    most = int((summed < 90).sum()) + 1

    def draw() -> Figure:
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2.6, 1))
        frame(left, points)
        scatter(left, points, labels)
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
        return figure

    return Drawing(
        "fig09_pca",
        f"The autoencoder's latents of {len(points):,} validation images on their first two "
        f"principal components, each point a dot and, where there is room, its digit; right, the "
        f"variance that the first of {len(shares)} components have together.",
        f"The digits form regions that overlap much: {overlap(points, labels)} The two components "
        f"have {summed[1]:.0f} % of the variance; for 90 % it takes {most} of {len(shares)}.",
        draw,
    )


def tsne(study: Study) -> Drawing:
    points, labels = shown(study, "ae.tsne")
    apart = nearest(points, labels)[0] > 0.85
    islands = "An island for each digit, with few strangers" if apart else "Groups of mixed digits"
    return Drawing(
        "fig10_tsne",
        f"The same {len(points):,} latents by t-SNE. Distances between islands and their sizes "
        "say nothing, so the axes have no numbers.",
        f"{islands}: {overlap(points, labels)}",
        lambda: scattered(points, labels, ("t-SNE 1", "t-SNE 2")),
    )


def scattered(points: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Figure:
    """Points on axes without numbers."""
    figure = Figure(figsize=(5.6, 5.5), layout="constrained")
    ax = figure.subplots()
    frame(ax, points)
    scatter(ax, points, labels)
    ax.set(xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return figure


def plane(study: Study, name: str, prior: bool) -> Figure:
    """Left the points of two latents, right what the decoder draws at the same places."""
    points, labels = shown(study, f"{name}.z")
    window, grid = study[f"{name}.window"], study[f"{name}.grid"]
    figure = Figure(figsize=(WIDTH, 3.85), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax in (left, right):
        ax.set(xlim=window[0], ylim=window[1], aspect="equal", xlabel="latent 1")
    scatter(left, points, labels)
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
    return figure


def outside(study: Study, name: str) -> int:
    """How many of the points lie outside the window."""
    low, high = study[f"{name}.window"].T
    points, _ = shown(study, f"{name}.z")
    return int(((points < low) | (points > high)).any(axis=1).sum())


def shown_there(study: Study, name: str) -> str:
    """What both panels have, in words."""
    points, side = shown(study, f"{name}.z")[0], len(study[f"{name}.grid"])
    return (
        f"{len(points):,} validation images ({outside(study, name)} lie outside), and what the "
        f"decoder makes of {side} × {side} places"
    )


def autoencoder_plane(study: Study) -> Drawing:
    points, labels = shown(study, "ae_2d.z")
    low, high = points.min(axis=0), points.max(axis=0)
    return Drawing(
        "fig11_autoencoder_plane",
        f"The plane of the autoencoder with two latents: {shown_there(study, 'ae_2d')}.",
        f"Digits lie in rays from a crowded middle; the latents go from {signed(low.min())} "
        f"to {signed(high.max())}. {overlap(points, labels)} "
        "Decoded, the places between rays and far from all points are shapes that are no digits.",
        lambda: plane(study, "ae_2d", prior=False),
    )


def vae_plane(study: Study) -> Drawing:
    points, labels = shown(study, "vae_2d.z")
    radii = np.hypot(*points.T)
    return Drawing(
        "fig12_vae_plane",
        f"The plane of the VAE with two latents, the means: {shown_there(study, 'vae_2d')}. "
        "Dashed: one and two standard deviations of the prior N(0, I).",
        "Digits fill a round cloud about the origin without gaps: "
        f"{percent((radii < 2).mean())} of the points within two standard deviations of the prior. "
        f"{overlap(points, labels)} Decoded, almost every place is a digit and neighbours change "
        "into each other smoothly.",
        lambda: plane(study, "vae_2d", prior=True),
    )

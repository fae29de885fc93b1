"""The generated report's thirteen figures, drawn from stored arrays; nothing is computed.

Colours: ten that people with common colour blindness tell apart (Paul Tol, "Colour schemes", 2021),
and every class is named in the picture too.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from latent_digits.data.storage import Arrays, Row, atomic

DIGIT_COLOURS = (
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933"),
    *("#ddcc77", "#cc6677", "#882255", "#aa4499", "#555555"),
)
TRAIN, VAL = "#4477aa", "#ee6677"
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def draw_figures(
    folder: Path,
    arrays: Arrays,
    histories: dict[str, list[Row]],
    trials: list[Row],
    dpi: int,
    max_points: int,
) -> list[Path]:
    """All figures as PNG files; equal arrays give equal bytes."""
    plt.rcParams.update(STYLE)
    labels = arrays["val.labels"][:max_points]

    def points(name: str) -> np.ndarray:
        return arrays[name][:max_points]

    share = arrays["ae.pca_share"]
    pca_axes = [f"principal component {i + 1} ({share[i]:.0%} of the variance)" for i in range(2)]
    z_axes = ["latent 1", "latent 2"]
    drawings: dict[str, Callable[[], Figure]] = {
        "fig01_architecture": lambda: architecture(
            arrays["architecture.encoder"], arrays["architecture.decoder"]
        ),
        "fig02_reconstructions": lambda: image_pairs(
            arrays["ae.input"], arrays["ae.output"], "image", "reconstruction"
        ),
        "fig03_noise": lambda: image_row(
            arrays["noise.panel"], ["clean", "Gaussian", "salt & pepper", "speckle", "all three"]
        ),
        "fig04_denoising": lambda: image_pairs(
            arrays["denoiser.input"], arrays["denoiser.output"], "noisy", "denoised"
        ),
        "fig05_vae_reconstructions": lambda: image_pairs(
            arrays["vae.input"], arrays["vae.output"], "image", "reconstruction"
        ),
        "fig06_interpolation": lambda: image_row(
            arrays["vae.interpolation"], step_names(len(arrays["vae.interpolation"]))
        ),
        "fig07_autoencoder_curves": lambda: learning_curves(
            histories["ae"], [("loss", "mean squared error", "log")]
        ),
        "fig08_classifier_curves": lambda: learning_curves(
            histories["classifier"],
            [("loss", "cross-entropy (nats)", "log"), ("accuracy", "accuracy", "linear")],
        ),
        "fig09_pca": lambda: scatter(points("ae.pca"), labels, pca_axes),
        "fig10_tsne": lambda: scatter(points("ae.tsne"), labels, ["t-SNE 1", "t-SNE 2"]),
        "fig11_autoencoder_plane": lambda: scatter(points("ae_2d.z"), labels, z_axes),
        "fig12_vae_plane": lambda: scatter(points("vae_2d.z"), labels, z_axes),
        "fig13_search": lambda: parallel_coordinates(trials),
        "confusion": lambda: confusion(arrays["classifier.confusion"]),
    }
    return [save(folder / f"{name}.png", draw(), dpi) for name, draw in drawings.items()]


def save(path: Path, figure: Figure, dpi: int) -> Path:
    """The figure as a PNG file that says nothing of the program that drew it."""
    with atomic(path) as draft:
        figure.savefig(
            draft, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None}
        )
    plt.close(figure)
    return path


def architecture(encoder: np.ndarray, decoder: np.ndarray) -> Figure:
    """Every activation as a block: height is the image's side, width the number of channels."""
    figure, axes = plt.subplots(2, 1, figsize=(8, 4.6))
    for ax, shapes, title in zip(
        axes, (encoder, decoder), ("encoder", "decoder, its mirror"), strict=True
    ):
        blocks(ax, shapes)
        ax.set_title(title, loc="left", fontsize=10)
    figure.tight_layout()
    return figure


def blocks(ax: Axes, shapes: np.ndarray) -> None:
    """A row of blocks with their shapes written below, and arrows from each to the next."""
    ax.set(xlim=(-0.7, len(shapes) - 0.3), ylim=(-0.55, 1.1))
    ax.axis("off")
    for x, (channels, height, width) in enumerate(shapes):
        image = height > 0
        side = 0.25 + 0.75 * height / 28 if image else 0.2 + 0.8 * min(channels, 288) / 288
        thickness = 0.1 + 0.3 * channels / 32 if image else 0.1
        colour = TRAIN if image else VAL
        ax.add_patch(
            Rectangle((x - thickness / 2, 0.5 - side / 2), thickness, side, color=colour, alpha=0.7)
        )
        text = f"{channels}×{height}×{width}" if image else f"{channels}"
        ax.text(x, -0.25, text, ha="center", fontsize=9)
        if x:
            ax.annotate(
                "",
                xy=(x - 0.28, 0.5),
                xytext=(x - 0.72, 0.5),
                arrowprops={"arrowstyle": "->", "color": "0.4"},
            )


def image_pairs(left: np.ndarray, right: np.ndarray, first: str, second: str) -> Figure:
    """A 3×3 grid of pairs."""
    figure, axes = plt.subplots(3, 6, figsize=(6.4, 3.4))
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        row, column = divmod(index, 3)
        show(axes[row, 2 * column], one, first if row == 0 else "")
        show(axes[row, 2 * column + 1], other, second if row == 0 else "")
    figure.subplots_adjust(wspace=0.08, hspace=0.08)
    return figure


def image_row(images: np.ndarray, titles: Sequence[str]) -> Figure:
    """Images side by side, each under its title."""
    figure, axes = plt.subplots(1, len(images), figsize=(1.2 * len(images), 1.5))
    for ax, image, title in zip(np.atleast_1d(axes), images, titles, strict=True):
        show(ax, image, title)
    figure.subplots_adjust(wspace=0.08)
    return figure


def show(ax: Axes, image: np.ndarray, title: str) -> None:
    ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.set_title(title, fontsize=8)


def step_names(count: int) -> list[str]:
    return ['mean of a "0"', *(f"{i} of {count - 1}" for i in range(1, count - 1)), 'mean of a "9"']


def learning_curves(history: list[Row], panels: Sequence[tuple[str, str, str]]) -> Figure:
    """Train and validation values by epoch; the epoch whose weights were kept is marked."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels), 3), squeeze=False)
    epochs = [row["epoch"] for row in history]
    best = min(history, key=lambda row: row["val_loss"])
    for ax, (name, label, scale) in zip(axes[0], panels, strict=True):
        ax.plot(epochs, column(history, f"train_{name}"), color=TRAIN, label="training, moving")
        ax.plot(epochs, column(history, f"val_{name}"), color=VAL, ls="--", label="validation")
        ax.plot(best["epoch"], best[f"val_{name}"], "o", color=VAL, label="weights kept")
        ax.set(xlabel="epoch", ylabel=label, yscale=scale)
        ax.legend()
    figure.tight_layout()
    return figure


def column(rows: Iterable[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


def scatter(points: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Figure:
    """Points by digit, with the digit written at the median of its points."""
    figure, ax = plt.subplots(figsize=(5.4, 4.8))
    for digit, colour in enumerate(DIGIT_COLOURS):
        mine = points[labels == digit]
        if len(mine):
            ax.scatter(mine[:, 0], mine[:, 1], s=4, color=colour, alpha=0.6, lw=0, label=str(digit))
            x, y = np.median(mine, axis=0)
            box = {"boxstyle": "circle,pad=0.2", "fc": "white", "ec": colour, "alpha": 0.9}
            ax.text(x, y, str(digit), ha="center", va="center", bbox=box)
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.legend(title="digit", markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def parallel_coordinates(trials: list[Row]) -> Figure:
    """A line a trial, through hyperparameters and value; degenerate and failed ones are dotted."""
    figure, ax = plt.subplots(figsize=(8, 4))
    ax.axis("off")
    shown = [row for row in trials if row["val_mse"] is not None]
    if not shown:
        ax.text(
            0.5,
            0.5,
            "no search: the original report's hyperparameters were used (tune.trials is 0)",
            ha="center",
        )
        return figure
    names = ("latent_dim", "optimizer", "lr", "batch_size", "dropout", "val_mse")
    positions = {name: axis(ax, x, name, column(shown, name)) for x, name in enumerate(names)}
    colours = plt.get_cmap("viridis_r")
    for row in sorted(shown, key=lambda row: row["val_mse"], reverse=True):
        heights = [positions[name](row[name]) for name in names]
        lost = row["state"] in ("degenerate", "failed")
        ax.plot(
            range(len(names)),
            heights,
            color="0.75" if lost else colours(1 - heights[-1]),
            ls=":" if lost else "-",
            lw=0.8,
        )
    best = min(shown, key=lambda row: row["val_mse"])
    ax.plot(
        range(len(names)), [positions[name](best[name]) for name in names], color="#cc3311", lw=2
    )
    ax.text(0, -0.17, "red: the best trial · dotted: degenerate", fontsize=8)
    return figure


def axis(ax: Axes, x: int, name: str, values: list[Any]) -> Callable[[Any], float]:
    """A vertical axis at x with its ends labelled; returns a value's height on it, in [0, 1]."""
    ax.plot([x, x], [0, 1], color="0.2", lw=1)
    ax.text(x, 1.08, name, ha="center", fontsize=9)
    if isinstance(values[0], str):
        kinds = sorted(set(values))
        for kind in kinds:
            ax.text(x + 0.03, rank(kinds, kind), kind, fontsize=7)
        return lambda value: rank(kinds, value)
    log = name in ("lr", "val_mse")
    scale = np.log if log else (lambda value: value)
    low, high = scale(min(values)), scale(max(values))
    for end, text in ((0, min(values)), (1, max(values))):
        ax.text(x + 0.03, end, f"{text:.3g}", fontsize=7, va="bottom" if end else "top")
    return lambda value: float((scale(value) - low) / (high - low)) if high > low else 0.5


def rank(kinds: Sequence[str], kind: str) -> float:
    return kinds.index(kind) / max(len(kinds) - 1, 1)


def confusion(matrix: np.ndarray) -> Figure:
    """Test images by true and predicted digit; the diagonal is left out of the colour scale."""
    figure, ax = plt.subplots(figsize=(4.6, 4.2))
    wrong = matrix * (1 - np.eye(10, dtype=matrix.dtype))
    ax.imshow(wrong, cmap=ListedColormap(plt.get_cmap("Oranges")(np.linspace(0, 0.7, 256))))
    for (row, col), count in np.ndenumerate(matrix):
        if count:
            ax.text(col, row, str(count), ha="center", va="center", fontsize=7)
    ax.set(xticks=range(10), yticks=range(10), xlabel="predicted digit", ylabel="true digit")
    ax.grid(visible=False)
    return figure

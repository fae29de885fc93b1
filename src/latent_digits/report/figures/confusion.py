"""What the classifier takes digits for."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import INK, MUTED, SMALL, percent


def confusion(study: Study) -> Drawing:
    matrix = study["classifier.confusion"]
    total, right = int(matrix.sum()), int(np.trace(matrix))
    wrong = matrix * (1 - np.eye(10, dtype=matrix.dtype))
    true, read = np.unravel_index(wrong.argmax(), wrong.shape)
    worst = int(recalls(matrix).argmin())
    return Drawing(
        "confusion",
        f"{total:,} test images by true digit and by the digit that the classifier on the "
        "pretrained encoder reads. Orange: errors, the more the darker; right, the share of each "
        "digit that is read rightly.",
        f"{right:,} of {total:,} images lie on the diagonal and {total - right:,} beside it, "
        f"scattered thinly. The most frequent error is a {true} that is read as {read} "
        f"({wrong[true, read]} times); the {worst} is read rightly least often, "
        f"{percent(recalls(matrix)[worst], 1)}.",
        lambda: draw(matrix, wrong),
    )


def recalls(matrix: np.ndarray) -> np.ndarray:
    """The share of each digit's images that are read rightly."""
    return np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)


def draw(matrix: np.ndarray, wrong: np.ndarray) -> Figure:
    figure = Figure(figsize=(5.0, 4.4), layout="constrained")
    ax = figure.subplots()
    oranges = ListedColormap(colormaps["Oranges"](np.linspace(0, 0.65, 256)))
    shown = np.ma.masked_equal(wrong, 0)
    ax.imshow(shown, cmap=oranges, vmin=0, vmax=max(int(wrong.max()), 1), interpolation="none")
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            weight, colour = ("bold", MUTED) if row == column else ("normal", INK)
            ax.text(column, row, str(count), ha="center", va="center", size=SMALL, weight=weight,
                    color=colour)  # fmt: skip
    for row, share in enumerate(recalls(matrix)):
        ax.text(9.75, row, percent(share, 1), va="center", size=SMALL)
    ax.text(9.75, -0.85, "right", va="center", size=SMALL)
    ax.set(xticks=range(10), yticks=range(10), xlabel="digit that is read", ylabel="true digit")
    ax.set_xticks(np.arange(11) - 0.5, minor=True)
    ax.set_yticks(np.arange(11) - 0.5, minor=True)
    ax.grid(visible=True, which="minor")
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    return figure

"""The autoencoder layer by layer, as the evaluated model has them."""

from math import prod

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from latent_digits.data.storage import Row
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import BLUE, MUTED, ORANGE, SMALL, WIDTH

NAMES = {
    "Conv2d": "convolution",
    "ConvTranspose2d": "transposed\nconvolution",
    "Linear": "linear",
    "Flatten": "flatten",
    "Unflatten": "reshape",
}
MOST_SHEETS = 8  # of an image's channels that are drawn
SIDE = 0.62  # inches of an image of the data set


def architecture(study: Study) -> Drawing:
    layers, parameters = study.fact("layers"), study.fact("parameters")
    encoder, decoder = layers["encoder"], layers["decoder"]
    counts = [sum(row.get("parameters", 0) for row in rows) for rows in (encoder, decoder)]
    latents = prod(encoder[-1]["shape"])
    drops = any(name.startswith("Dropout") for row in encoder for name in row["then"])
    dropped = f" After each ReLU dropout of {study.hparams['dropout']:.2g}." if drops else ""
    return Drawing(
        "fig01_architecture",
        f"The autoencoder as it is trained, {parameters['ae']:,} parameters in all. Blue: images, "
        "channels × height × width, the side drawn on a square root's scale, a sheet a channel "
        f"({MOST_SHEETS} at most); orange: vectors.{dropped} The VAE has the same convolutions and "
        "decoder, and between them two copies of the encoder's linear layers, for mean and "
        f"log-variance: {parameters['vae']:,} parameters.",
        f"Two rows of {len(encoder)} and {len(decoder)} blocks. The encoder goes from "
        f"{' to '.join(map(shape, encoder))}; the decoder goes from these {latents} latents back, "
        f"{' to '.join(map(shape, decoder))}.",
        lambda: draw(encoder, decoder, counts),
    )


def shape(row: Row) -> str:
    return "×".join(map(str, row["shape"]))


def draw(encoder: list[Row], decoder: list[Row], counts: list[int]) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.4))
    stacks = (("Encoder", encoder, 0.5), ("Decoder", decoder, 0.0))
    for (name, rows, bottom), count in zip(stacks, counts, strict=True):
        ax = figure.add_axes((0, bottom, 1, 0.5), aspect="equal")
        ax.set(xlim=(0, WIDTH), ylim=(-0.05, 2.15))
        ax.set_axis_off()
        ax.text(0.05, 2.05, name, weight="bold", va="top")
        ax.text(0.75, 2.05, f"{count:,} parameters", va="top", color=MUTED)
        blocks(ax, rows)
    return figure


def blocks(ax: Axes, rows: list[Row]) -> None:
    """An activation a column: its shape, a block, and the layer that made it; in inches."""
    pitch, start = WIDTH / len(rows), 0.0
    size = max(row["shape"][-1] for row in rows if len(row["shape"]) == 3)
    for column, row in enumerate(rows):
        x = (column + 0.5) * pitch
        ax.text(x, 1.68, shape(row), ha="center", size=SMALL, weight="bold")
        is_image = len(row["shape"]) == 3
        half = sheets(ax, x, row["shape"], size) if is_image else bar(ax, x, row["shape"])
        for line, text in enumerate(about(row)):
            ax.text(x, 0.53 - 0.13 * line, text, ha="center", size=SMALL)
        if column:
            arrow = {"arrowstyle": "-|>", "color": MUTED, "lw": 1, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (x - half - 0.04, 1.16), (start, 1.16), arrowprops=arrow)
        start = x + half + 0.04


def sheets(ax: Axes, x: float, sizes: list[int], size: int) -> float:
    """An image as a sheet a channel, one behind the other, scaled so that one of a side of `size`
    is SIDE wide; returns half the width.
    """
    channels, height, width = sizes
    drawn = min(channels, MOST_SHEETS)
    step = 0.022
    w, h = (SIDE * (side / size) ** 0.5 for side in (width, height))
    left, bottom = x - (w + step * (drawn - 1)) / 2, 1.16 - (h + step * (drawn - 1)) / 2
    for sheet in reversed(range(drawn)):
        corner = (left + step * sheet, bottom + step * sheet)
        ax.add_patch(Rectangle(corner, w, h, fc="#cfe3f1", ec=BLUE, lw=0.8))
    return (w + step * (drawn - 1)) / 2


def bar(ax: Axes, x: float, sizes: list[int]) -> float:
    """A vector as a bar whose height grows with its length; returns half the width."""
    height = min(0.9, 0.12 + 0.9 * sizes[0] / 330)
    corner = (x - 0.05, 1.16 - height / 2)
    ax.add_patch(Rectangle(corner, 0.1, height, fc="#f6d5bf", ec=ORANGE, lw=0.8))
    return 0.05


def about(row: Row) -> list[str]:
    """The layer that made an activation, its weights, and what follows it."""
    if row["layer"] == "input":
        return ["image" if len(row["shape"]) == 3 else "latents"]
    lines = NAMES.get(row["layer"], str(row["layer"])).split("\n")
    if row["kernel"]:
        lines.append(f"{row['kernel']}×{row['kernel']}, stride {row['stride']}")
    if row["parameters"]:
        lines.append(f"{row['parameters']:,} params")
    then = [name for name in row["then"] if not name.startswith("Dropout")]
    return [*lines, *then]

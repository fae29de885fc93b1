"""Figures of images in rows: reconstructions, noise, denoising, paths, samples."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latent_digits.data.storage import Row
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import INK, ORANGE, SMALL, WIDTH, listed, percent

KINDS = ("clean", "Gaussian", "salt & pepper", "speckle", "all three")
LINE = 0.145  # inches a line of small type
ERROR = "too dark where orange, too light where violet"
MOST_ERROR = 0.5  # of the colours


class Strip(NamedTuple):
    """Images [N, 28, 28] in a row: its name on the left, a note under each, orange if marked."""

    name: str
    images: np.ndarray
    notes: Sequence[str] = ()
    marked: Sequence[bool] = ()
    signed: bool = False  # an error in [-1, 1], not a grey value
    heading: str = ""


def strips(rows: Sequence[Strip], left: float = 1.0, gap: float = 0.06) -> Figure:
    """Rows of equally large images without frames, `left` and `gap` in inches."""
    columns = max(len(row.images) for row in rows)
    side = (WIDTH - left - gap * (columns - 1)) / columns
    figure = Figure()
    ax = figure.add_axes((0, 0, 1, 1))
    height = gap
    for row in rows:
        height = put(ax, row, height, left, side, gap)
    ax.set(xlim=(0, WIDTH), ylim=(height, 0), aspect="auto")
    ax.set_axis_off()
    figure.set_size_inches(WIDTH, height)
    return figure


def put(ax: Axes, row: Strip, top: float, left: float, side: float, gap: float) -> float:
    """Draw a row on axes in inches; returns where the next one begins."""
    if row.heading:
        ax.text(0, top + 0.1, row.heading, weight="bold", va="top")
        top += 0.34
    ax.text(left - 0.1, top + side / 2, row.name, size=SMALL, ha="right", va="center")
    low, high, cmap = (-MOST_ERROR, MOST_ERROR, "PuOr_r") if row.signed else (0, 1, "gray_r")
    places = left + np.arange(len(row.images)) * (side + gap)
    for x, image in zip(places, row.images, strict=True):
        extent = (x, x + side, top + side, top)
        ax.imshow(image, cmap=cmap, vmin=low, vmax=high, interpolation="none", extent=extent)
    for column, note in enumerate(row.notes):
        bad = len(row.marked) > 0 and row.marked[column]
        colour, weight = (ORANGE, "bold") if bad else (INK, "normal")
        for number, line in enumerate(note.split("\n"), 1):
            x, y = places[column] + side / 2, top + side + LINE * number
            ax.text(x, y, line, size=SMALL, ha="center", color=colour, weight=weight)
    lines = max((note.count("\n") + 1 for note in row.notes), default=0)
    return top + side + (LINE * lines + gap if lines else 0) + gap


def squared_errors(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The MSE of each image, × 1000."""
    return 1000 * ((images - others) ** 2).mean(axis=(1, 2))


def one_decimal(values: np.ndarray) -> list[str]:
    return [f"{value:.1f}" for value in values]


def reconstructions(study: Study) -> Drawing:
    image, output = study["ae.input"], study["ae.output"]
    errors, latents = squared_errors(image, output), study.hparams["latent_dim"]
    rows = [
        Strip("image", image),
        Strip("autoencoder,\nMSE × 1000", output, one_decimal(errors)),
        Strip("error,\n−½ to ½", output - image, signed=True),
    ]
    return Drawing(
        "fig02_reconstructions",
        f"The first {len(image)} validation images, what the autoencoder makes of them through "
        f"{latents} latents, and the difference: {ERROR}.",
        f"{len(image)} handwritten digits above their reconstructions, which look the same but for "
        f"softer edges: MSE × 1000 from {errors.min():.1f} to {errors.max():.1f}. The differences "
        "are faint and lie along the strokes' edges.",
        lambda: strips(rows),
    )


def vae_reconstructions(study: Study) -> Drawing:
    image, ae, vae = study["ae.input"], study["ae.output"], study["vae.output"]
    errors, ae_errors = squared_errors(image, vae), squared_errors(image, ae)
    rows = [
        Strip("image", image),
        Strip("autoencoder,\nMSE × 1000", ae, one_decimal(ae_errors)),
        Strip("VAE,\nMSE × 1000", vae, one_decimal(errors)),
        Strip("the VAE's error,\n−½ to ½", vae - image, signed=True),
    ]
    return Drawing(
        "fig05_vae_reconstructions",
        "The images of figure 2, the autoencoder's reconstructions and those of the VAE, which "
        f"decodes the mean of its latents; the VAE's error: {ERROR}.",
        f"The VAE's {len(image)} digits are smoother and more blurred than the autoencoder's: MSE "
        f"× 1000 from {errors.min():.1f} to {errors.max():.1f}, {errors.mean():.1f} in the mean "
        f"against {ae_errors.mean():.1f}. The errors show whole strokes, not only edges.",
        lambda: strips(rows),
    )


def noise_notes(levels: Row) -> list[str]:
    mean, variance = levels["gaussian_mean"], levels["gaussian_variance"]
    clean, gaussian, salt_pepper, speckle, all_three = KINDS
    return [
        clean,
        f"{gaussian}\nN({mean:g}, {variance:g})",
        f"{salt_pepper}\n{100 * levels['salt_pepper']:g} % of the pixels",
        f"{speckle}\nx + x·N(0, {levels['speckle_variance']:g})",
        all_three,
    ]


def noise(study: Study) -> Drawing:
    weak, strong = study["noise.figure_3"], study["noise.as_described"]
    levels = study.fact("noise")
    rows = [
        Strip("the original's\nfigure 3", weak, noise_notes(levels["figure_3"])),
        Strip("as the denoiser\nis trained", strong, noise_notes(levels["as_described"])),
    ]
    pairs = zip(KINDS, *map(noise_notes, (levels["figure_3"], levels["as_described"])), strict=True)
    other = [kind for kind, one, another in pairs if one != another] or ["draw"]
    errors = squared_errors(np.stack([weak[-1], strong[-1]]), np.stack([weak[0], strong[0]]))
    return Drawing(
        "fig03_noise",
        "One validation image under each kind of noise and under all three: above as in the "
        "original report's figure 3, below as the denoiser is trained and as figure 4 has it, "
        f"with another {listed(other)}. N(m, v) has mean m and variance v; values are clipped to "
        "[0, 1] after each.",
        f"The digit stays readable under each noise of the upper row (MSE {errors[0] / 1000:.2f} "
        f"under all three). In the lower row the Gaussian leaves a trace of it only, and all three "
        f"together hardly that (MSE {errors[1] / 1000:.2f}).",
        lambda: strips(rows, left=1.15, gap=0.1),
    )


def denoising(study: Study) -> Drawing:
    facts = study.fact("denoising")
    total, misread = facts["images"], facts["misread"]
    failures = misread["denoised"]
    counted = {name: f"{one:,} ({percent(one / total, 1)})" for name, one in misread.items()}
    shown = len(study["denoiser.failed_label"])
    rows = [
        row
        for group, heading in (
            ("typical", f"The first {len(study['denoiser.typical_label'])} validation images"),
            ("failed", f"Failures: the first {shown} of {failures:,} in {total:,} images"),
        )
        for row in denoised_strips(study, group, heading)
    ]
    errors = squared_errors(study["denoiser.typical_clean"], study["denoiser.typical_denoised"])
    return Drawing(
        "fig04_denoising",
        "Validation images clean, noisy and denoised. Below each its label and what the classifier "
        f"reads, which is a failure where it is not the label: {counted['denoised']} of {total:,} "
        f"denoised images, {counted['noisy']} of the noisy and {counted['clean']} of the clean.",
        "Digits that noise makes unreadable come back smooth and mostly right: MSE × 1000 from "
        f"{errors.min():.1f} to {errors.max():.1f} in the upper block. The lower block has "
        f"{shown} failures: clean-looking digits that are blurred or another than the image's, as "
        f"{listed(changes(study, 'failed')[:3])} ({failures:,} in {total:,}).",
        lambda: strips(rows),
    )


def denoised_strips(study: Study, group: str, heading: str) -> list[Strip]:
    clean, noisy, denoised = (
        study[f"denoiser.{group}_{name}"] for name in ("clean", "noisy", "denoised")
    )
    if not len(clean):
        return []
    wrong = study[f"denoiser.{group}_label"] != study[f"denoiser.{group}_read"]
    return [
        Strip("image", clean, heading=heading),
        Strip("noisy", noisy),
        Strip("denoised,\nlabel → read", denoised, changes(study, group), list(wrong)),
    ]


def changes(study: Study, group: str) -> list[str]:
    labels, read = study[f"denoiser.{group}_label"], study[f"denoiser.{group}_read"]
    return [f"{one} → {other}" for one, other in zip(labels, read, strict=True)]


def interpolation(study: Study) -> Drawing:
    ae, vae = study["path.ae"], study["path.vae"]
    places = np.linspace(0, 1, len(ae))
    blend = (1 - places)[:, None, None] * ae[0] + places[:, None, None] * ae[-1]
    reads = {name: study[f"path.{name}_read"] for name in ("ae", "vae")}
    rows = [
        Strip("pixels mixed,\nplace on the line", blend, [f"{place:.2g}" for place in places]),
        Strip("autoencoder,\nread as", ae, [str(digit) for digit in reads["ae"]]),
        Strip("VAE,\nread as", vae, [str(digit) for digit in reads["vae"]]),
    ]
    says = {name: listed([f"{digit}" for digit in digits]) for name, digits in reads.items()}
    return Drawing(
        "fig06_interpolation",
        'A straight line between the latents of a "0" and of a "9", decoded at '
        f"{len(ae)} places from 0 to 1, for both models of {study.hparams['latent_dim']} latents "
        "(the VAE's means), with the digit that the classifier reads; above, the two ends of the "
        "autoencoder mixed pixel by pixel.",
        'The pixel mix shows a ghost of both digits. The decoded paths bend a "0" into a "9" and '
        f"pass through other shapes: the classifier reads {says['ae']} along the autoencoder's and "
        f"{says['vae']} along the VAE's.",
        lambda: strips(rows, left=1.2, gap=0.1),
    )


def prior_samples(study: Study) -> Drawing:
    drawn, read = study["vae.prior"], study["vae.prior_read"]
    counts = [f"{(read == digit).sum()} as {digit}" for digit in range(10)]
    rows = [Strip("", part) for part in np.split(drawn, 4)]
    return Drawing(
        "fig14_prior_samples",
        f"{len(drawn)} images that the VAE makes of z ~ N(0, I), {study.hparams['latent_dim']} "
        "latents each, as drawn: none is chosen.",
        f"A grid of {len(drawn)} made-up digits, smooth, some clear and some between two digits. "
        f"The classifier reads {listed(counts)}.",
        lambda: strips(rows, left=0.0),
    )

"""Figures of images in rows: reconstructions, noise, denoising, paths, samples."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latent_digits.data.storage import Row
from latent_digits.report.dataset_info import spelled
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import (
    INK,
    LINE,
    ORANGE,
    SMALL,
    WIDTH,
    listed,
    literal,
    percent,
)

KINDS = ("clean", "Gaussian", "salt & pepper", "speckle", "all three")
ERROR = "too dark where orange, too light where violet"
MOST_ERROR = 0.5  # of the colours
NOTE = 9  # characters of a line below an image


class Strip(NamedTuple):
    """Images [N, S, S] in a row: its name on the left, a note under each, orange if marked."""

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
    measured = f"MSE × 1000 from {errors.min():.1f} to {errors.max():.1f}"
    rows = [
        Strip("image", image),
        Strip("autoencoder,\nMSE × 1000", output, one_decimal(errors)),
        Strip("error,\n−½ to ½", output - image, signed=True),
    ]
    return Drawing(
        "fig02_reconstructions",
        f"The first {len(image)} validation images, what the autoencoder makes of them through "
        f"{latents} latents, and the difference: {ERROR}.",
        study.seen(
            f"{len(image)} handwritten digits above their reconstructions, which look the same but "
            f"for softer edges: {measured}. The differences are faint and lie along the strokes' "
            "edges.",
            f"{len(image)} images above their reconstructions: {measured}.",
        ),
        lambda: strips(rows),
    )


def vae_reconstructions(study: Study) -> Drawing:
    image, ae, vae = study["ae.input"], study["ae.output"], study["vae.output"]
    errors, ae_errors = squared_errors(image, vae), squared_errors(image, ae)
    measured = (
        f"MSE × 1000 from {errors.min():.1f} to {errors.max():.1f}, {errors.mean():.1f} in the "
        f"mean against {ae_errors.mean():.1f}"
    )
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
        study.seen(
            f"The VAE's {len(image)} digits are smoother and more blurred than the autoencoder's: "
            f"{measured}. The errors show whole strokes, not only edges.",
            f"{len(image)} images, and what autoencoder and VAE make of them. The VAE has an "
            f"{measured} of the autoencoder.",
        ),
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
    above, below = study["noise.figure_3"], study["noise.as_described"]
    levels = study.fact("noise")
    rows = [
        Strip(
            study.seen("the original's\nfigure 3", "for this figure\nalone"),
            above,
            noise_notes(levels["figure_3"]),
        ),
        Strip("as the denoiser\nis trained", below, noise_notes(levels["as_described"])),
    ]
    pairs = zip(KINDS, *map(noise_notes, (levels["figure_3"], levels["as_described"])), strict=True)
    other = [kind for kind, one, another in pairs if one != another] or ["draw"]
    errors = [squared_errors(one[1:], one[:1]) / 1000 for one in (above, below)]
    kinds = [
        f"{kind} {one:.2f} and {another:.2f}"
        for kind, one, another in zip(KINDS[1:], *errors, strict=True)
    ]
    whose = study.seen("in the original report's figure 3", "it is set for this figure alone")
    return Drawing(
        "fig03_noise",
        f"One validation image under each kind of noise and under all three: above as {whose}, "
        f"below as the denoiser is trained and as figure 4 has it, with another {listed(other)}. "
        "N(m, v) has mean m and variance v; values are clipped to [0, 1] after each.",
        study.seen(
            "The digit stays readable under each noise of the upper row (MSE "
            f"{errors[0][-1]:.2f} under all three). In the lower row the Gaussian leaves a trace "
            f"of it only, and all three together hardly that (MSE {errors[1][-1]:.2f}).",
            f"Two rows of {len(above)} images. The MSE against the clean image, above and below: "
            f"{listed(kinds)}.",
        ),
        lambda: strips(rows, left=1.15, gap=0.1),
    )


def denoising(study: Study) -> Drawing:
    """Without labels an image has its error below, and none is a failure."""
    clean, denoised = study["denoiser.typical_clean"], study["denoiser.typical_denoised"]
    errors = squared_errors(clean, denoised)
    measured = f"MSE × 1000 from {errors.min():.1f} to {errors.max():.1f}"
    if not study.dataset.labelled:
        rows = [
            Strip("image", clean),
            Strip("noisy", study["denoiser.typical_noisy"]),
            Strip("denoised,\nMSE × 1000", denoised, one_decimal(errors)),
        ]
        return Drawing(
            "fig04_denoising",
            f"The first {len(clean)} validation images clean, noisy and denoised.",
            f"{len(clean)} images, the same under noise, and what the denoiser makes of that: "
            f"{measured}.",
            lambda: strips(rows),
        )
    facts = study.fact("denoising")
    total, misread = facts["images"], facts["misread"]
    failures = misread["denoised"]
    counted = {name: f"{one:,} ({percent(one / total, 1)})" for name, one in misread.items()}
    shown = len(study["denoiser.failed_label"])
    blocks = [
        strip
        for group, heading in (
            ("typical", f"The first {len(clean)} validation images"),
            ("failed", f"Failures: the first {shown} of {failures:,} in {total:,} images"),
        )
        for strip in denoised_strips(study, group, heading)
    ]
    such = f"{listed(changes(study, 'failed')[:3])} ({failures:,} in {total:,})"
    return Drawing(
        "fig04_denoising",
        "Validation images clean, noisy and denoised. Below each its label and what the classifier "
        f"reads, which is a failure where it is not the label: {counted['denoised']} of {total:,} "
        f"denoised images, {counted['noisy']} of the noisy and {counted['clean']} of the clean.",
        study.seen(
            "Digits that noise makes unreadable come back smooth and mostly right: "
            f"{measured} in the upper block. The lower block has {shown} failures: clean-looking "
            f"digits that are blurred or another than the image's, as {such}.",
            f"The denoised images have an {measured} in the upper block. The lower block has "
            f"{shown} failures, as {such}.",
        ),
        lambda: strips(blocks),
    )


def denoised_strips(study: Study, group: str, heading: str) -> list[Strip]:
    clean, noisy, denoised = (
        study[f"denoiser.{group}_{name}"] for name in ("clean", "noisy", "denoised")
    )
    if not len(clean):
        return []
    wrong = study[f"denoiser.{group}_label"] != study[f"denoiser.{group}_read"]
    notes = [folded(change) for change in changes(study, group)]
    return [
        Strip("image", clean, heading=heading),
        Strip("noisy", noisy),
        Strip("denoised,\nlabel → read", denoised, notes, list(wrong)),
    ]


def changes(study: Study, group: str) -> list[str]:
    labels, read = study[f"denoiser.{group}_label"], study[f"denoiser.{group}_read"]
    names = study.dataset.classes
    return [f"{names[one]} → {names[other]}" for one, other in zip(labels, read, strict=True)]


def folded(text: str) -> str:
    """The text on as many lines as it takes to stand below an image."""
    if len(text) <= NOTE:
        return literal(text)
    parts = text.replace(" → ", "\n→\u00a0").split("\n")
    lines = [textwrap.wrap(one, NOTE + ("→" in one), max_lines=2, placeholder="…")
             for one in parts]  # fmt: skip
    return literal("\n".join(line for part in lines for line in part))


def interpolation(study: Study) -> Drawing:
    """Without labels nothing is read, and the path runs between two images."""
    ae, vae, dataset = study["path.ae"], study["path.vae"], study.dataset
    places = np.linspace(0, 1, len(ae))
    blend = (1 - places)[:, None, None] * ae[0] + places[:, None, None] * ae[-1]
    mixed = Strip("pixels mixed,\nplace on the line", blend, [f"{place:.2g}" for place in places])
    decoded = (
        f"decoded at {len(ae)} places from 0 to 1, for both models of "
        f"{study.hparams['latent_dim']} latents (the VAE's means)"
    )
    above = "above, the two ends of the autoencoder mixed pixel by pixel"
    if not dataset.labelled:
        middle = len(ae) // 2
        apart = squared_errors(np.stack([ae[middle], vae[middle]]), blend[middle])
        rows = [mixed, Strip("autoencoder", ae), Strip("VAE", vae)]
        return Drawing(
            "fig06_interpolation",
            "A straight line between the latents of the first two validation images, "
            f"{decoded}; {above}.",
            f"Three rows of {len(ae)} images. Half way the MSE × 1000 to the pixel mix is "
            f"{apart[0]:.1f} for the autoencoder and {apart[1]:.1f} for the VAE.",
            lambda: strips(rows, left=1.2, gap=0.1),
        )
    reads = {
        name: [dataset.classes[label] for label in study[f"path.{name}_read"]]
        for name in ("ae", "vae")
    }
    rows = [
        mixed,
        Strip("autoencoder,\nread as", ae, [folded(name) for name in reads["ae"]]),
        Strip("VAE,\nread as", vae, [folded(name) for name in reads["vae"]]),
    ]
    start, end = (spelled(study.fact("path")[end]) for end in ("from", "to"))
    ends = (
        f'a "{start}" and of a "{end}"'
        if dataset.is_of_digits
        else f'an image of "{start}" and of one of "{end}"'
    )
    says = {name: listed(names) for name, names in reads.items()}
    read = (
        f"the classifier reads {says['ae']} along the autoencoder's and {says['vae']} along the "
        "VAE's."
    )
    return Drawing(
        "fig06_interpolation",
        f"A straight line between the latents of {ends}, {decoded}, with the {dataset.noun} that "
        f"the classifier reads; {above}.",
        study.seen(
            f'The pixel mix shows a ghost of both digits. The decoded paths bend a "{start}" into '
            f'a "{end}" and pass through other shapes: {read}',
            f"Three rows of {len(ae)} images: the pixel mix and the two decoded paths; {read}",
        ),
        lambda: strips(rows, left=1.2, gap=0.1),
    )


def prior_samples(study: Study) -> Drawing:
    drawn, dataset = study["vae.prior"], study.dataset
    rows = [Strip("", part) for part in np.split(drawn, 4)]
    alt = study.seen(
        f"A grid of {len(drawn)} made-up digits, smooth, some clear and some between two digits.",
        f"A grid of {len(drawn)} made-up images.",
    )
    if dataset.labelled:
        read = study["vae.prior_read"]
        counts = [f"{(read == label).sum()} as {n}" for label, n in enumerate(dataset.classes)]
        alt += f" The classifier reads {listed(counts)}."
    return Drawing(
        "fig14_prior_samples",
        f"{len(drawn)} images that the VAE makes of z ~ N(0, I), {study.hparams['latent_dim']} "
        "latents each, as drawn: none is chosen.",
        alt,
        lambda: strips(rows, left=0.0),
    )

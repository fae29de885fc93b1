"""All figures of the report, in its order."""

from pathlib import Path

from latent_digits.report.figures import (
    architecture,
    confusion,
    curves,
    images,
    planes,
    search,
    trends,
)
from latent_digits.report.figures.drawing import Drawing, Study, save


def drawings(study: Study) -> list[Drawing]:
    """Every figure; raises UserError where `evaluate` has not made what one shows."""
    return [
        architecture.architecture(study),
        images.reconstructions(study),
        images.noise(study),
        images.denoising(study),
        images.vae_reconstructions(study),
        images.interpolation(study),
        curves.autoencoders(study),
        curves.classifiers(study),
        planes.principal_components(study),
        planes.tsne(study),
        planes.autoencoder_plane(study),
        planes.vae_plane(study),
        search.search(study),
        images.prior_samples(study),
        trends.latents(study),
        trends.labels(study),
        confusion.confusion(study),
    ]


def draw_figures(folder: Path, drawings: list[Drawing], dpi: int) -> list[Path]:
    """Two files a figure, PNG and SVG."""
    return [path for drawing in drawings for path in save(folder, drawing, dpi)]

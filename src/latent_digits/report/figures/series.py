"""All figures of the report, in its order."""

from concurrent.futures import ThreadPoolExecutor
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
from latent_digits.report.figures.drawing import Drawing, Study, drawn, save

FIGURES = (
    architecture.architecture,
    images.reconstructions,
    images.noise,
    images.denoising,
    images.vae_reconstructions,
    images.interpolation,
    curves.autoencoders,
    curves.classifiers,
    planes.principal_components,
    planes.tsne,
    planes.autoencoder_plane,
    planes.vae_plane,
    search.search,
    images.prior_samples,
    trends.latents,
    trends.labels,
    confusion.confusion,
)
OF_CLASSIFIERS = (curves.classifiers, trends.labels, confusion.confusion)


def drawings(study: Study) -> list[Drawing]:
    """Every figure, those of classifiers where there are labels; raises UserError where `evaluate`
    has not made what one shows.
    """
    labelled = study.dataset.labelled
    return [figure(study) for figure in FIGURES if labelled or figure not in OF_CLASSIFIERS]


def draw_figures(folder: Path, drawings: list[Drawing], dpi: int) -> list[Path]:
    """Two files a figure, PNG and SVG.

    While one is drawn, those before it are saved: to choose their colours leaves Python's lock.
    """
    with ThreadPoolExecutor() as pool:
        saved = [pool.submit(save, folder, one, *drawn(one, dpi)) for one in drawings]
        return [path for one in saved for path in one.result()]

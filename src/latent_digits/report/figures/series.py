"""All figures of the report, in its order."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from latent_digits.beside import beside
from latent_digits.report.figures import (
    architecture,
    confusion,
    curves,
    images,
    planes,
    search,
    trends,
)
from latent_digits.report.figures.drawing import Drawing, Study, draw

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


@contextmanager
def drawing(folder: Path, drawings: list[Drawing], dpi: int) -> Iterator[Callable[[], list[Path]]]:
    """Begin to draw two files a figure, PNG and SVG; what the block gets waits for them.

    A process a core draws, each the next figure that none has begun. They are forked, so this one
    must have no threads yet.
    """
    with ExitStack() as processes:
        begun = get_context("fork").Value("i", 0)
        shares = [
            processes.enter_context(beside(draw_some, folder, drawings, dpi, begun, forked=True))
            for _ in os.sched_getaffinity(0)
        ]

        def drawn() -> list[Path]:
            found = {name: paths for share in shares for name, paths in share().items()}
            return [path for one in drawings for path in found[one.name]]

        yield drawn


def draw_some(folder: Path, drawings: list[Drawing], dpi: int, begun: Any) -> dict[str, list[Path]]:
    """The files of the figures that this process drew, by name."""
    found: dict[str, list[Path]] = {}
    while True:
        with begun.get_lock():
            number, begun.value = begun.value, begun.value + 1
        if number >= len(drawings):
            return found
        one = drawings[number]
        found[one.name] = draw(folder, one, dpi)

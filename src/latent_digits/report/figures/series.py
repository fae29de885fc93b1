"""All figures of the report, in its order."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
        numbers, to_numbers = os.pipe()
        processes.callback(os.close, numbers)
        os.write(to_numbers, bytes(range(len(drawings))))
        os.close(to_numbers)
        work = folder, drawings, dpi, numbers
        shares = [
            processes.enter_context(beside(draw_some, *work, forked=True))
            for _ in range(min(len(drawings), len(os.sched_getaffinity(0))))
        ]

        def drawn() -> list[Path]:
            found = {name: paths for share in shares for name, paths in share().items()}
            return [path for one in drawings for path in found[one.name]]

        yield drawn


def draw_some(
    folder: Path, drawings: list[Drawing], dpi: int, numbers: int
) -> dict[str, list[Path]]:
    """The files of the figures whose numbers this process was the first to read, by name."""
    found: dict[str, list[Path]] = {}
    while number := os.read(numbers, 1):
        one = drawings[number[0]]
        found[one.name] = draw(folder, one, dpi)
    return found

"""The test images that got worse, and what the models of both sides make of them.

Only where data and both models are at hand: in a fork's clone they are not, and the page does
without.
"""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image as Pillow

from latent_digits.catalogue import METRICS
from latent_digits.comparison.values import Comparison
from latent_digits.console import UserError
from latent_digits.data.dataset import load_dataset
from latent_digits.evaluation.measures import evaluation_of, reconstructions
from latent_digits.evaluation.metrics import denoisers_noises, digest_of_images
from latent_digits.models.weights import load_model
from latent_digits.project.params import Params

TEST = Path("data/split/test.safetensors")
MODELS = {one.name: one.group for one in METRICS}


class Picture(NamedTuple):
    """One test image as its model gets it, and what the base and this side make of it, as PNGs.

    Of a classifier there is the image alone.
    """

    number: int  # of the test image
    images: tuple[str, ...]


def model_of(comparison: Comparison) -> str:
    """The model whose images got worse, by the name of its file; "" where none did."""
    return MODELS.get(comparison.worsened[0].name, "") if comparison.worsened else ""


def pictures(
    comparison: Comparison, before: Path | None, after: Path | None, params: Params
) -> list[Picture]:
    """A picture for each image that got worse, by the model files of both sides; none without."""
    if not comparison.worsened or not TEST.exists():
        return []
    test = load_dataset(TEST)
    evaluation = evaluation_of(test, test, test, params.evaluate.seed, 100)
    if digest_of_images(evaluation.test) != comparison.head.test_images:
        return []
    chosen = [one.index for one in comparison.worsened if one.index < len(test.images)]
    inputs = evaluation.test.images
    name = comparison.worsened[0].name
    if model_of(comparison) == "denoiser":
        as_described, as_coded = denoisers_noises(params.noise)
        which = ("harsh", as_coded) if "as_coded" in name else ("text", as_described)
        inputs = evaluation.noisy_test(*which)
    inputs = inputs[chosen]
    shown = [np.asarray(inputs[:, 0], dtype=np.float32)]
    if inputs.dtype == torch.uint8:
        shown = [shown[0] / 255]
    if not model_of(comparison).startswith("classifier"):
        try:
            networks = [load_model(path, test)[0] for path in (before, after) if path]
        except UserError:  # of another split, or of a version that had other models
            networks = []
        if len(networks) == 2:
            shown += [reconstructions(network, inputs) for network in networks]
    return [
        Picture(index, tuple(png(images[place]) for images in shown))
        for place, index in enumerate(chosen)
    ]


def png(pixels: np.ndarray) -> str:
    """Dark on light, as the figures are, [S, S] in [0, 1]; base64."""
    file = io.BytesIO()
    Pillow.fromarray((255 * (1 - pixels.clip(0, 1))).astype(np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()

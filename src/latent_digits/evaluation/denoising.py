"""The denoiser beside classical filters: by kind of noise and strength, on test images.

Images are [N, S, S] in [0, 1] but for the stored ones. x clean, y noisy.
"""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn

from latent_digits.engine.functional import pixels
from latent_digits.evaluation.arrays import kinds_of
from latent_digits.evaluation.filters import FILTERS, tuned
from latent_digits.evaluation.measures import (
    Evaluation,
    LabelledImages,
    Measured,
    predictions,
    reconstructions,
)
from latent_digits.evaluation.metrics import Models, denoisers_noises
from latent_digits.project.params import Params
from latent_digits.study.noise import Noise, corrupted

TUNED_ON = 500  # validation images


def denoising(evaluation: Evaluation, models: Models, params: Params) -> Measured:
    """MSE and the classifier's accuracy, if there is one, by kind of noise, strength and method.

    The strength multiplies all four numbers of the noise as described. Filters are tuned on
    validation images under the same noise.
    """
    test = thinned(evaluation.test, params.evaluate.denoised_images)
    val = thinned(evaluation.val, TUNED_ON)
    classifier = models.networks.get("classifier")
    found: dict[str, float | np.ndarray] = {}
    if classifier:
        clean = right_of(classifier, stacked(test.images), test.labels)
        found["denoising/clean/accuracy"] = clean
    as_described, _ = denoisers_noises(params.noise)
    for kind, noise in kinds_of(as_described).items():
        for strength in params.evaluate.noise_strengths:
            where = f"denoising/{kind}/{strength:g}"
            level = Noise(**{name: strength * one for name, one in asdict(noise).items()})
            noisy, noisy_val = (
                corrupted(one.images, level, evaluation.seed_for("claims", where, name))
                for name, one in (("test", test), ("val", val))
            )
            filters = {
                name: tuned(name, stacked(val.images), stacked(noisy_val)) for name in FILTERS
            }
            made = {
                "noisy": stacked(noisy),
                "denoiser": reconstructions(models.networks["denoiser"], noisy),
                **{name: one(stacked(noisy)) for name, one in filters.items()},
            }
            measured = compared(made, test, classifier)
            found |= {f"{where}/{name}": values for name, values in measured.items()}
            found |= {f"{where}/{name}/strength": one.strength for name, one in filters.items()}
    return found


def compared(
    made: Mapping[str, np.ndarray], clean: LabelledImages, classifier: nn.Module | None
) -> dict[str, np.ndarray]:
    """What each method made: its error, its accuracy, and the denoiser's less each filter's."""
    measures = {"mse": lambda one: squared_error(one, stacked(clean.images))}
    if classifier:
        measures["accuracy"] = lambda one: right_of(classifier, one, clean.labels)
    found: dict[str, np.ndarray] = {}
    for what, measured in measures.items():
        values = {name: measured(one) for name, one in made.items()}
        found |= {f"{name}/{what}": one for name, one in values.items()}
        found |= {
            f"denoiser - {name}/{what}": values["denoiser"] - values[name] for name in FILTERS
        }
    return found


def thinned(sample: LabelledImages, count: int) -> LabelledImages:
    """About so many images, evenly spread: the first half of MNIST's test set is the easier one."""
    every = slice(None, None, max(1, len(sample.images) // count))
    return LabelledImages(sample.images[every], sample.labels[every])


def stacked(images: Tensor) -> np.ndarray:
    """Images [N, 1, S, S] as floats [N, S, S], one behind the other in memory."""
    return np.ascontiguousarray(pixels(images)[:, 0].numpy())


def squared_error(x_hat: np.ndarray, x: np.ndarray) -> np.ndarray:
    """MSE of each image, float64 [N]."""
    return ((x_hat.astype(np.float64) - x) ** 2).mean(axis=(1, 2))


def right_of(classifier: nn.Module, images: np.ndarray, labels: Tensor) -> np.ndarray:
    """1 for each image that the classifier takes for what it is, else 0: float64 [N]."""
    found = predictions(classifier, torch.from_numpy(images)[:, None])
    return (found == labels.numpy()).astype(np.float64)

"""What the original report's claims are judged by: the content of `reports/claims.json`.

Numbers by stable ids, such as "knn/ae"; `report.claims` has the rules. Each part returns the value
of every image, path or pair, or one number. What is compared is compared in pairs, as a
difference of its own, since the interval of a difference does not follow from two intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from latent_digits import engine
from latent_digits.engine.functional import pixels
from latent_digits.evaluation.denoising import denoising, stacked
from latent_digits.evaluation.filters import gradient, length
from latent_digits.evaluation.measures import (
    Evaluation,
    Measured,
    Metrics,
    flat,
    latents,
    reconstructions,
)
from latent_digits.evaluation.metrics import Models
from latent_digits.evaluation.neighbours import knn_right
from latent_digits.evaluation.paths import (
    bending,
    decoded_paths,
    departure,
    disjoint_pairs,
    seen,
    unevenness,
)
from latent_digits.project.params import Params
from latent_digits.study.noise import Noise, corrupted

Evidence = dict[str, Metrics]
COMPONENTS = (2, 4, 8, 16, 33, 50)  # of PCA: those of the search's range, and the report's 33
SMALL = Noise(0.0, 0.01, 0.0, 0.0)  # what hardly changes an image: a tenth of its range
DIGITS = tuple("0123456789")
COMPARED = ("ae", "vae")  # of one number of latents
WAYS = {  # to a classifier, by the model that learns from all labels
    "pretrained": "classifier",
    "untrained": "classifier_random_encoder",
    "end_to_end": "classifier_end_to_end",
}


def evidence(
    evaluation: Evaluation,
    models: Models,
    found: Mapping[str, Measured],
    behaved: Callable[[], Measured],
) -> Evidence:
    """All that claims are judged by: `found` was measured of each model, `behaved` waits for
    `behaviour`.
    """
    pca = PCA(svd_solver="covariance_eigh").fit(flat(evaluation.train.images))
    latent_space = {
        **dimensions(evaluation, models, found, pca),
        **clusters(evaluation, models, pca),
    }
    pretraining = {**labels(evaluation, found), **operations(evaluation, models)}
    every = {**latent_space, **behaved(), **pretraining}
    return {name: stated(evaluation, one) for name, one in every.items()}


def behaviour(evaluation: Evaluation, models: Models, params: Params) -> Measured:
    """The part that asks models for images of their own: what they make of noise, of edges, and of
    the way between two images. It takes as long as all the rest of `evaluate`.
    """
    most = params.evaluate.paths
    return {
        **denoising(evaluation, models, params),
        **sharpness(evaluation, models),
        **robustness(evaluation, models),
        **smoothness(evaluation, models, most),
        **from_zero_to_nine(evaluation, models, most),
    }


def stated(evaluation: Evaluation, value: float | np.ndarray) -> Metrics:
    """A number as it is; of an array the mean, its 95 % interval, and of how many it is."""
    if not isinstance(value, np.ndarray):
        return {"value": value}
    found = evaluation.interval("value", value)
    bounds = {"low": found["value_low"], "high": found["value_high"]}
    return {"value": found["value"], **bounds, "count": len(value)}


def dimensions(
    evaluation: Evaluation, models: Models, found: Mapping[str, Measured], pca: PCA
) -> Measured:
    """Test MSE by latents: of every autoencoder there is, and of as many principal components."""
    names = [name for name in found if name.startswith("latents/")]
    trained = {
        models.about[name]["latent_dim"]: found[name]["test_mse"]
        for name in (*names, "ae_2d", "ae")
    }
    linear = pca_errors(pca, flat(evaluation.test.images), sorted({*COMPONENTS, *trained}))
    return {
        "latent_dim/tuned": models.about["ae"]["latent_dim"],
        **{f"mse/ae/{z}": values for z, values in sorted(trained.items())},
        **{f"mse/pca/{z}": values for z, values in linear.items()},
    }


def pca_errors(pca: PCA, x: np.ndarray, counts: Sequence[int]) -> dict[int, np.ndarray]:
    """MSE of each image [N, D] through its first principal components, by how many these are."""
    scores = pca.transform(x).astype(np.float64)
    squares = ((x.astype(np.float64) - pca.mean_) ** 2).sum(axis=1)
    return {  # the components are orthonormal: what they hold of a square is lost to the error
        z: (squares - (scores[:, :z] ** 2).sum(axis=1)) / x.shape[1]
        for z in counts
        if z <= scores.shape[1]
    }


def clusters(evaluation: Evaluation, models: Models, pca: PCA) -> Measured:
    """How the classes lie together: in pixels, principal components and latents.

    k-NN asks for the class of a test image among the validation images; no model was trained on
    either. Of the models there is the Davies-Bouldin index in `evaluation.json`.
    """
    if not evaluation.classes:
        return {}
    val, test = evaluation.val, evaluation.test
    components = pca.transform(flat(val.images)), pca.transform(flat(test.images))
    z = models.about["ae"]["latent_dim"]
    linear = {
        "pixels": (flat(val.images), flat(test.images)),
        "pca": (components[0][:, :z], components[1][:, :z]),
        "pca_2d": (components[0][:, :2], components[1][:, :2]),
    }
    learned = {
        name: (latents(model, val.images), latents(model, test.images))
        for name, model in models.networks.items()
        if name in ("ae", "vae", "ae_2d", "vae_2d")
    }
    labels = val.labels.numpy(), test.labels.numpy()
    right = {
        name: knn_right(known, labels[0], asked, labels[1])
        for name, (known, asked) in (linear | learned).items()
    }
    return {
        **{f"knn/{name}": values for name, values in right.items()},
        **{
            f"knn/{one} - {other}": right[one] - right[other]
            for one, other in (("ae", "pixels"), ("ae", "pca"), ("vae_2d", "ae_2d"))
        },
        **{
            f"davies_bouldin/{name}": value
            for name, (known, _) in linear.items()
            for value in evaluation.davies_bouldin(known).values()
        },
    }


def sharpness(evaluation: Evaluation, models: Models) -> Measured:
    """The mean length of the grey values' gradient in a reconstruction over that in its image.

    1: edges are as steep as they were; 0: a plain grey.
    """
    x = steepness(stacked(evaluation.test.images))
    found = {
        name: steepness(reconstructions(models.networks[name], evaluation.test.images)) / x
        for name in COMPARED
    }
    return of_both("sharpness", found)


def steepness(images: np.ndarray) -> np.ndarray:
    """The mean length of the gradient, float64 [N]."""
    found = length(gradient(np.moveaxis(images, 0, -1).copy()))
    return np.moveaxis(found, -1, 0).copy().mean(axis=(1, 2), dtype=np.float64)


def robustness(evaluation: Evaluation, models: Models) -> Measured:
    """How far hardly visible noise moves an image's latents, over the distance of two images.

    That distance is the root of the mean square over all pairs of test images.
    """
    images = evaluation.test.images
    noisy = corrupted(images, SMALL, evaluation.seed_for("claims", "robustness"))
    found = {}
    for name in COMPARED:
        z, moved = (latents(models.networks[name], one).astype(float) for one in (images, noisy))
        apart = np.sqrt(2 * z.var(axis=0).sum())
        found[name] = np.sqrt(((moved - z) ** 2).sum(axis=1)) / apart
    return of_both("displacement", found)


def smoothness(evaluation: Evaluation, models: Models, most: int) -> Measured:
    """Of straight lines between the latents of two test images: how evenly the images change, and
    how far from real ones they are half way.
    """
    images = evaluation.test.images
    some, others = np.array_split(np.arange(len(images)), 2)
    start, end = disjoint_pairs(some, others, most, evaluation.seed_for("claims", "pairs"))
    measures = {
        "unevenness": unevenness,
        "bending": bending,
        "departure": partial(departure, images=flat(evaluation.val.images)),
    }
    found: dict[str, dict[str, np.ndarray]] = {what: {} for what in measures}
    for name in COMPARED:
        z = latents(models.networks[name], images)
        frames = decoded_paths(models.networks[name], z[start], z[end]).numpy()
        for what, measured in measures.items():
            found[what][name] = measured(frames)
    return {k: v for what, values in found.items() for k, v in of_both(what, values).items()}


def from_zero_to_nine(evaluation: Evaluation, models: Models, most: int) -> Measured:
    """The share of paths from a 0 to a 9 on which the classifier sees each other digit.

    "through" is at any frame between the ends, "middle" at the one half way.
    """
    if evaluation.classes != DIGITS:
        return {}
    labels, images = evaluation.test.labels.numpy(), evaluation.test.images
    zeros, nines = (np.flatnonzero(labels == digit) for digit in (0, 9))
    start, end = disjoint_pairs(zeros, nines, most, evaluation.seed_for("claims", "0 to 9"))
    found: dict[str, np.ndarray] = {}
    for name in COMPARED:
        z = latents(models.networks[name], images)
        frames = decoded_paths(models.networks[name], z[start], z[end])
        digits_seen = seen(models.networks["classifier"], frames)
        middle = digits_seen[:, digits_seen.shape[1] // 2]
        for digit in range(1, 9):
            through = (digits_seen[:, 1:-1] == digit).any(axis=1)
            found[f"zero_to_nine/{name}/through/{digit}"] = through.astype(np.float64)
            found[f"zero_to_nine/{name}/middle/{digit}"] = (middle == digit).astype(np.float64)
    return found


def labels(evaluation: Evaluation, found: Mapping[str, Measured]) -> Measured:
    """For which test images a classifier is right, by how many labels it has learned from.

    "gain" is what pretraining brings over training end to end, and "more" by how much that is above
    the gain with all labels.
    """
    if not evaluation.classes:
        return {}
    most = len(evaluation.train.labels)
    right = {(way, most): found[name]["test_accuracy"] for way, name in WAYS.items()}
    for name, measured in found.items():
        series, _, member = name.partition("/")
        if series == "labels":
            way, _, count = member.rpartition("_")
            right[way, int(count)] = measured["test_accuracy"]
    counts = sorted({count for _, count in right})
    gains = {n: right["pretrained", n] - right["end_to_end", n] for n in counts}
    return {
        **{f"labels/{n}/{way}": right[way, n] for n in counts for way in WAYS},
        **{f"labels/{n}/gain": gains[n] for n in counts},
        **{f"labels/{n}/more": gains[n] - gains[most] for n in counts if n < most},
    }


def operations(evaluation: Evaluation, models: Models) -> Measured:
    """What an image costs in a classifier's encoder and head, forwards, in additions and
    multiplications of their layers: a measure of time that no machine changes.
    """
    if not evaluation.classes:
        return {}
    classifier, x = models.networks["classifier"], pixels(evaluation.test.images[:1])
    with engine.off(), torch.no_grad():
        return {
            "operations/encoder": operations_of(classifier.encoder, x),
            "operations/head": operations_of(classifier.head, classifier.encoder(x)),
        }


class Operations(TorchDispatchMode):
    """Adds up in `count` what is computed within its block, by PyTorch's formulas.

    `FlopCounterMode` does so too, and imports PyTorch's compiler. An operation without a formula
    counts as nothing here; those of layers have one where no gradients are asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False, see `latent_digits.engine.recording`."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if cost := flop_registry.get(func._overloadpacket):
            self.count += cost(*args, **(kwargs or {}), out_val=found)
        return found


def operations_of(model: nn.Module, x: torch.Tensor) -> int:
    with Operations() as counted:
        model(x)
    return counted.count


def of_both(what: str, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A measure of the VAE and of the autoencoder, and the difference in pairs."""
    difference = {"vae - ae": values["vae"] - values["ae"]}
    return {f"{what}/{name}": one for name, one in {**values, **difference}.items()}

"""Every number of the generated report: what each model reaches, with 95 % intervals.

The mean over 10,000 test images would move if other images had been drawn; a percentile bootstrap
says by how much (Efron 1979). Nothing here trains: `evaluate` is the one stage that sees the test
set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix, davies_bouldin_score
from torch import Tensor, nn

from latent_digits.data.dataset import Dataset
from latent_digits.engine.functional import pixels
from latent_digits.models.losses import mean_squared_error
from latent_digits.models.networks import VariationalAutoencoder
from latent_digits.models.objectives import (
    Measure,
    Values,
    classification,
    measure,
    negative_elbo,
    reconstruction,
)
from latent_digits.seeds import seed_for
from latent_digits.study.noise import Noise, corrupted

Metrics = dict[str, float | int]
Measured = Mapping[str, float | int | np.ndarray]  # an array has a value a test image


@dataclass(frozen=True)
class LabelledImages:
    """A stored set as tensors: images uint8 [N, 1, S, S], labels [N], all -1 if there are none."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Evaluation:
    """The sets that models are measured on, the seed of what is drawn, bootstrap resamples, and the
    data set's name and classes; without classes nothing is measured that needs labels.
    """

    train: LabelledImages
    val: LabelledImages
    test: LabelledImages
    seed: int
    resamples: int
    name: str
    classes: tuple[str, ...]

    def seed_for(self, *position: str) -> int:
        return seed_for(self.seed, "evaluate", *position)

    def summary(self, measured: Measured) -> Metrics:
        """The numbers as they are, and the mean of each array with its interval."""
        found: Metrics = {}
        for name, value in measured.items():
            found |= self.interval(name, value) if isinstance(value, np.ndarray) else {name: value}
        return found

    def interval(self, name: str, sample: np.ndarray) -> Metrics:
        """The mean of one value an image, and the bounds of its 95 % bootstrap interval."""
        drawn = resamples(len(sample), self.resamples, self.seed_for("bootstrap"))
        parts = np.array_split(drawn, max(1, len(drawn) // 100))  # as floats they take more memory
        means = np.concatenate([part @ sample for part in parts]) / len(sample)
        low, high = np.quantile(means, (0.025, 0.975))
        return {
            name: float(sample.mean()),
            f"{name}_low": float(low),
            f"{name}_high": float(high),
        }

    def values(
        self, model: nn.Module, values_of: Measure, inputs: Tensor, targets: Tensor
    ) -> Values:
        return measure(model, values_of, inputs, targets, self.seed_for("sampling"))

    def autoencoder(self, model: nn.Module) -> Measured:
        """MSE on validation and test, and how well the latents separate the classes."""
        val = self.values(model, reconstruction, self.val.images, self.val.images)["loss"]
        test = self.values(model, reconstruction, self.test.images, self.test.images)["loss"]
        return {
            "val_mse": mean(val),
            "test_mse": array(test),
            **self.davies_bouldin(latents(model, self.val.images)),
        }

    def pca(self, components: int) -> Measured:
        """The linear baseline: test MSE through as many principal components as latents."""
        train, test = flat(self.train.images), flat(self.test.images)
        components = min(components, *train.shape)
        model = PCA(components, svd_solver="covariance_eigh").fit(train)
        error = ((model.inverse_transform(model.transform(test)) - test) ** 2).mean(axis=1)
        return {"components": components, "test_mse": error.astype(np.float64)}

    def denoiser(self, model: nn.Module, as_described: Noise, as_coded: Noise) -> Measured:
        """Test MSE under both noises, drawn once, and that of the noisy images as they are."""
        clean = self.test.images
        # "text" and "harsh" name draws: under other names the test would be under another noise.
        noisy, noisy_as_coded = (
            self.noisy_test("text", as_described),
            self.noisy_test("harsh", as_coded),
        )
        denoised = self.values(model, reconstruction, noisy, clean)["loss"]
        denoised_as_coded = self.values(model, reconstruction, noisy_as_coded, clean)["loss"]
        return {
            "test_mse": array(denoised),
            "as_coded_test_mse": array(denoised_as_coded),
            "noisy_test_mse": array(mean_squared_error(noisy, pixels(clean))),
        }

    def noisy_test(self, name: str, noise: Noise) -> Tensor:
        return corrupted(self.test.images, noise, self.seed_for("noise", name))

    def vae(self, model: VariationalAutoencoder, active_variance: float) -> Measured:
        """Loss per image and its two terms, MSE when the mean is decoded, and latents in use.

        A latent is active when its mean varies over the validation images by more than
        `active_variance` (Burda et al. 2016, section 5.2).
        """
        val = self.values(model, negative_elbo, self.val.images, self.val.images)
        test = self.values(model, negative_elbo, self.test.images, self.test.images)
        decoded = self.values(model, decode_mean, self.test.images, self.test.images)
        means = latents(model, self.val.images)
        return {
            "val_loss": mean(val["loss"]),
            "test_loss": array(test["loss"]),
            "test_squared_error": array(test["squared_error"]),
            "test_kl": array(test["kl"]),
            "test_mse": array(decoded["loss"]),
            "active_units": int((means.var(axis=0) > active_variance).sum()),
            **self.davies_bouldin(means),
        }

    def classifier(self, model: nn.Module, trainable_parameters: int) -> Measured:
        """Accuracy on all three sets."""
        return {
            "train_accuracy": mean(self.accuracy(model, self.train)),
            "val_accuracy": mean(self.accuracy(model, self.val)),
            "test_accuracy": array(self.accuracy(model, self.test)),
            "trainable_parameters": trainable_parameters,
        }

    def classifier_of_few_labels(self, model: nn.Module) -> Measured:
        """Accuracy on the test set; of which training images it knows a label is not told here."""
        return {"test_accuracy": array(self.accuracy(model, self.test))}

    def accuracy(self, model: nn.Module, sample: LabelledImages) -> Tensor:
        """1 where a classifier is right, and 0, for each image."""
        return self.values(model, classification, sample.images, sample.labels)["accuracy"]

    def confusion(self, model: nn.Module) -> np.ndarray:
        """Test images by true class (row) and predicted class (column), int64 [K, K]."""
        labels = range(len(self.classes))
        return confusion_matrix(self.test.labels.numpy(), self.predicted(model), labels=labels)

    def predicted(self, model: nn.Module) -> np.ndarray:
        """The class that a classifier takes each test image for, [N]."""
        return predictions(model, self.test.images)

    def davies_bouldin(self, z: np.ndarray) -> Metrics:
        """Davies & Bouldin 1979, of the classes as clusters: smaller is better separated."""
        if not self.classes:
            return {}
        return {"davies_bouldin": float(davies_bouldin_score(z, self.val.labels.numpy()))}


@cache
def resamples(images: int, count: int, seed: int) -> np.ndarray:
    """How often each of so many images is in each of `count` bootstrap samples, [count, images].

    The samples are those of `scipy.stats.bootstrap`, drawn once for all that is measured.
    """
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, images, images) for _ in range(count))
    counted = (np.bincount(one, minlength=images) for one in drawn)
    return np.stack([one.astype(np.uint8) for one in counted])  # none is drawn 256 times


def evaluation_of(
    train: Dataset, val: Dataset, test: Dataset, seed: int, resamples: int
) -> Evaluation:
    """An evaluation on three stored sets."""
    samples = (
        LabelledImages(torch.from_numpy(one.images)[:, None], torch.from_numpy(one.labels))
        for one in (train, val, test)
    )
    about = {"name": train.name, "classes": train.classes}
    return Evaluation(*samples, seed=seed, resamples=resamples, **about)


def decoded_mean(model: VariationalAutoencoder, x: Tensor) -> Tensor:
    mu, _ = model.encode(x)
    return model.decoder(mu)


def decode_mean(model: Any, x: Tensor, target: Tensor) -> Values:
    """A VAE's MSE without sampling."""
    return {"loss": mean_squared_error(decoded_mean(model, x), target)}


def predict(model: nn.Module, x: Tensor, labels: Tensor) -> Values:
    return {"class": model(x).argmax(1)}


def predictions(model: nn.Module, images: Tensor) -> np.ndarray:
    """The class that a classifier takes each image for, int64 [N]."""
    return measure(model, predict, images, images, seed=0)["class"].numpy()


def latents(model: nn.Module, images: Tensor) -> np.ndarray:
    """What the encoder says of each image, [N, Z]; of a VAE, the mean."""

    def encode(model: nn.Module, x: Tensor, _: Tensor) -> Values:
        if isinstance(model, VariationalAutoencoder):
            return {"z": model.encode(x)[0]}
        return {"z": model.get_submodule("encoder")(x)}

    return measure(model, encode, images, images, seed=0)["z"].numpy()


def reconstructions(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """What the model makes of each input, [N, S, S]; of a VAE, from the mean."""

    def reconstruct(model: nn.Module, x: Tensor, _: Tensor) -> Values:
        if isinstance(model, VariationalAutoencoder):
            return {"x": decoded_mean(model, x)}
        return {"x": model(x)}

    return measure(model, reconstruct, inputs, inputs, seed=0)["x"][:, 0].numpy()


def flat(images: Tensor) -> np.ndarray:
    """Images as rows of floats in [0, 1], [N, S · S]."""
    return pixels(images).flatten(1).numpy()


def array(values: Tensor) -> np.ndarray:
    return values.numpy().astype(np.float64)


def mean(values: Tensor) -> float:
    return values.double().mean().item()

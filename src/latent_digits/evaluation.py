"""Every number of the report: what each model reaches, with 95 % intervals over the test images.

The mean over 10,000 test images would move if other images had been drawn; a percentile bootstrap
says by how much (Efron 1979). Nothing here trains: `evaluate` is the one stage that sees the test
set.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix, davies_bouldin_score
from torch import Tensor, nn

from latent_digits.corruption import Noise, corrupted
from latent_digits.dataset import Dataset
from latent_digits.losses import mean_squared_error
from latent_digits.models import VariationalAutoencoder
from latent_digits.objectives import (
    Objective,
    Values,
    classification,
    measure,
    negative_elbo,
    reconstruction,
)
from latent_digits.pixels import as_input
from latent_digits.seeds import seed_for

Metrics = dict[str, float | int]


@dataclass(frozen=True)
class Sample:
    """A stored set as tensors: images uint8 [N, 1, 28, 28], labels [N]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Evaluation:
    """The sets that models are measured on, the seed of what is drawn, and bootstrap resamples."""

    train: Sample
    val: Sample
    test: Sample
    seed: int
    resamples: int

    def seed_for(self, *position: str) -> int:
        return seed_for(self.seed, "evaluate", *position)

    def interval(self, name: str, values: Tensor | np.ndarray) -> Metrics:
        """The mean of one value an image, and the bounds of its 95 % bootstrap interval."""
        sample = np.asarray(values, dtype=np.float64)
        rng = np.random.default_rng(self.seed_for("bootstrap"))
        found = bootstrap(
            (sample,), np.mean, n_resamples=self.resamples, batch=100, method="percentile", rng=rng
        ).confidence_interval
        return {
            name: float(sample.mean()),
            f"{name}_low": float(found.low),
            f"{name}_high": float(found.high),
        }

    def values(
        self, model: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor
    ) -> Values:
        return measure(model, objective, inputs, targets, self.seed_for("sampling"))

    def autoencoder(self, model: nn.Module) -> Metrics:
        """MSE on validation and test, and how well the latents separate the digits."""
        val = self.values(model, reconstruction, self.val.images, self.val.images)["loss"]
        test = self.values(model, reconstruction, self.test.images, self.test.images)["loss"]
        return {
            "val_mse": mean(val),
            **self.interval("test_mse", test),
            "davies_bouldin": self.davies_bouldin(latents(model, self.val.images)),
        }

    def pca(self, components: int) -> Metrics:
        """The linear baseline: test MSE through as many principal components as latents."""
        train, test = flat(self.train.images), flat(self.test.images)
        model = PCA(components, svd_solver="covariance_eigh").fit(train)
        error = ((model.inverse_transform(model.transform(test)) - test) ** 2).mean(axis=1)
        return {"components": components, **self.interval("test_mse", error)}

    def denoiser(self, model: nn.Module, text: Noise, harsh: Noise) -> Metrics:
        """Test MSE under both noises, drawn once, and that of the noisy images as they are."""
        clean = self.test.images
        noisy, harsher = self.noisy_test("text", text), self.noisy_test("harsh", harsh)
        denoised = self.values(model, reconstruction, noisy, clean)["loss"]
        denoised_harsh = self.values(model, reconstruction, harsher, clean)["loss"]
        return {
            **self.interval("test_mse", denoised),
            **self.interval("harsh_test_mse", denoised_harsh),
            **self.interval("noisy_test_mse", mean_squared_error(noisy, as_input(clean))),
        }

    def noisy_test(self, name: str, noise: Noise) -> Tensor:
        return corrupted(self.test.images, noise, self.seed_for("noise", name))

    def vae(self, model: VariationalAutoencoder, active_variance: float) -> Metrics:
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
            **self.interval("test_loss", test["loss"]),
            **self.interval("test_squared_error", test["squared_error"]),
            **self.interval("test_kl", test["kl"]),
            **self.interval("test_mse", decoded["loss"]),
            "active_units": int((means.var(axis=0) > active_variance).sum()),
            "davies_bouldin": self.davies_bouldin(means),
        }

    def classifier(self, model: nn.Module, trainable_parameters: int) -> Metrics:
        """Accuracy on all three sets."""
        accuracy = {
            name: self.values(model, classification, sample.images, sample.labels)["accuracy"]
            for name, sample in (("train", self.train), ("val", self.val), ("test", self.test))
        }
        return {
            "train_accuracy": mean(accuracy["train"]),
            "val_accuracy": mean(accuracy["val"]),
            **self.interval("test_accuracy", accuracy["test"]),
            "trainable_parameters": trainable_parameters,
        }

    def confusion(self, model: nn.Module) -> np.ndarray:
        """Test images by true digit (row) and predicted digit (column), int64 [10, 10]."""
        predicted = self.values(model, predict, self.test.images, self.test.labels)["digit"]
        return confusion_matrix(self.test.labels.numpy(), predicted.numpy(), labels=range(10))

    def davies_bouldin(self, z: np.ndarray) -> float:
        """Davies & Bouldin 1979, of the digits as clusters: smaller is better separated."""
        return float(davies_bouldin_score(z, self.val.labels.numpy()))


def evaluation_of(
    train: Dataset, val: Dataset, test: Dataset, seed: int, resamples: int
) -> Evaluation:
    """An evaluation on three stored sets."""
    samples = (
        Sample(torch.from_numpy(one.images)[:, None], torch.from_numpy(one.labels))
        for one in (train, val, test)
    )
    return Evaluation(*samples, seed=seed, resamples=resamples)


def decoded_mean(model: VariationalAutoencoder, x: Tensor) -> Tensor:
    mu, _ = model.encode(x)
    return model.decoder(mu)


def decode_mean(model: Any, x: Tensor, target: Tensor) -> Values:
    """A VAE's MSE without sampling."""
    return {"loss": mean_squared_error(decoded_mean(model, x), target)}


def predict(model: nn.Module, x: Tensor, labels: Tensor) -> Values:
    return {"digit": model(x).argmax(1)}


def latents(model: nn.Module, images: Tensor) -> np.ndarray:
    """What the encoder says of each image, [N, Z]; of a VAE, the mean."""

    def encode(model: nn.Module, x: Tensor, _: Tensor) -> Values:
        if isinstance(model, VariationalAutoencoder):
            return {"z": model.encode(x)[0]}
        return {"z": model.get_submodule("encoder")(x)}

    return measure(model, encode, images, images, seed=0)["z"].numpy()


def reconstructions(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """What the model makes of each input, [N, 28, 28]; of a VAE, from the mean."""

    def reconstruct(model: nn.Module, x: Tensor, _: Tensor) -> Values:
        if isinstance(model, VariationalAutoencoder):
            return {"x": decoded_mean(model, x)}
        return {"x": model(x)}

    return measure(model, reconstruct, inputs, inputs, seed=0)["x"][:, 0].numpy()


def flat(images: Tensor) -> np.ndarray:
    """Images as rows of floats in [0, 1], [N, 784]."""
    return as_input(images).flatten(1).numpy()


def mean(values: Tensor) -> float:
    return values.double().mean().item()

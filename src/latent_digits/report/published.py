"""What the original report says, and what its author's published weights reach, measured afresh.

"Unsupervised Deep Learning, Assignment 2", F. Manzali, 2021. None where it says nothing.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """A quantity of the original report: its key in evaluation.json, its name, its two values."""

    key: str
    name: str
    text: str | None
    measured: str | None
    better: str | None  # "lower", "higher", or neither: a term of a trade-off

    @property
    def of_weights(self) -> float | None:
        """`measured` as a number; accuracies, which are stated in %, as a share."""
        if self.measured is None or not self.measured.endswith(" %"):
            return None if self.measured is None else float(self.measured)
        return float(self.measured.removesuffix(" %")) / 100


COMPARED = (
    Published("ae.test_mse", "Autoencoder, test MSE", "0.0087", "0.008536", "lower"),
    Published("pca.test_mse", "PCA, as many components, test MSE", None, "0.01643", "lower"),
    Published("ae_2d.val_mse", "Autoencoder Z = 2, validation MSE", None, "0.03711", "lower"),
    Published(
        "denoiser.test_mse", "Denoiser, noise as described, test MSE", None, "0.02707", "lower"
    ),
    Published(
        "denoiser.as_coded_test_mse",
        "Denoiser, noise as coded, test MSE",
        "0.03",
        "0.02983",
        "lower",
    ),
    Published(
        "denoiser.noisy_test_mse", "No denoiser, noise as described, MSE", None, None, "lower"
    ),
    Published("vae.test_loss", "VAE, test loss per image", None, "27.93", "lower"),
    Published("vae.test_squared_error", "… its squared error", None, "16.87", None),
    Published("vae.test_kl", "… its KL divergence", None, "11.06", None),
    Published("vae.test_mse", "VAE decoding the mean, test MSE", None, "0.01651", "lower"),
    Published("vae.active_units", "VAE, active latents", None, "9", None),
    Published("vae_2d.val_loss", "VAE Z = 2, validation loss per image", None, "37.2", "lower"),
    Published(
        "classifier.test_accuracy", "Classifier, test accuracy", "98.1 %", "97.92 %", "higher"
    ),
    Published(
        "classifier_random_encoder.test_accuracy",
        "… on an untrained encoder",
        None,
        None,
        "higher",
    ),
    Published("classifier_end_to_end.test_accuracy", "… trained end to end", None, None, "higher"),
)

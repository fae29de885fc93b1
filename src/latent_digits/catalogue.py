"""The study's models, by the names of their files of weights and histories, and its headlines.

A model of a series has its folder's name and its own, such as "latents/16", and no headline: what
it is for is how its series goes.
"""

from typing import Literal, NamedTuple

MODELS = {  # by the name of its files, how a model is measured: see `evaluation.metrics`
    "ae": "autoencoder",
    "ae_2d": "autoencoder",
    "denoiser": "denoiser",
    "vae": "vae",
    "vae_2d": "vae",
    "classifier": "classifier",
    "classifier_random_encoder": "classifier",
    "classifier_end_to_end": "classifier",
}
SERIES = {  # folders of further models, by what differs in them, and how these are measured
    "latents": "autoencoder",
    "labels": "classifier_of_few_labels",
}


class Metric(NamedTuple):
    """A headline: its key in `evaluation.json`, and its name, with its unit, in `metrics.json`.

    `scale` is how many of that unit are 1 of what the key has. `way` says how it is measured, in
    words that change when this does: values of different ways are not comparable. `on` says of
    which images, `drawn` whether noise or a sample is drawn for them, and `labelled` whether it
    needs their labels.
    """

    key: str
    name: str
    title: str
    scale: float
    way: str
    on: Literal["test", "val"] = "test"
    drawn: bool = False
    labelled: bool = False

    @property
    def group(self) -> str:
        return self.key.partition(".")[0]

    @property
    def of_group(self) -> str:
        return self.key.partition(".")[2]


MSE = "squared error, mean over pixels"
LOSS = "squared error + KL an image, one sample each"
SHARE = "share of images that are taken for what they are"
METRICS = (
    Metric("ae.test_mse", "ae_mse_e3", "Autoencoder, MSE × 1000", 1e3, MSE),
    Metric("ae_2d.test_mse", "ae_2d_mse_e3", "Autoencoder Z = 2, MSE × 1000", 1e3, MSE),
    Metric("denoiser.test_mse", "denoiser_mse_e3", "Denoiser, MSE × 1000", 1e3, MSE, drawn=True),
    Metric(
        "denoiser.as_coded_test_mse",
        "denoiser_as_coded_mse_e3",
        "Denoiser, noise as coded, MSE × 1000",
        1e3,
        MSE,
        drawn=True,
    ),
    Metric("vae.test_loss", "vae_loss", "VAE, loss an image", 1, LOSS, drawn=True),
    Metric("vae.test_kl", "vae_kl", "VAE, KL an image", 1, "KL an image"),
    Metric("vae.test_mse", "vae_mse_e3", "VAE decoding the mean, MSE × 1000", 1e3, MSE),
    Metric(
        "vae.active_units",
        "vae_active",
        "VAE, active latents",
        1,
        "latents whose mean varies over images",
        on="val",
    ),
    Metric("vae_2d.test_loss", "vae_2d_loss", "VAE Z = 2, loss an image", 1, LOSS, drawn=True),
    Metric(
        "classifier.test_accuracy",
        "accuracy_pct",
        "Classifier, accuracy %",
        100,
        SHARE,
        labelled=True,
    ),
    Metric(
        "classifier_random_encoder.test_accuracy",
        "untrained_pct",
        "Classifier, untrained encoder, accuracy %",
        100,
        SHARE,
        labelled=True,
    ),
    Metric(
        "classifier_end_to_end.test_accuracy",
        "end_to_end_pct",
        "Classifier, end to end, accuracy %",
        100,
        SHARE,
        labelled=True,
    ),
    Metric(
        "ae.davies_bouldin",
        "davies_bouldin",
        "Autoencoder, Davies-Bouldin index",
        1,
        "Davies-Bouldin index of latents by class",
        on="val",
        labelled=True,
    ),
)

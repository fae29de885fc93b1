"""Metrics against hand-computed values, and arrays of the promised shapes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap

from latent_digits.arithmetic import one_thread
from latent_digits.evaluation.arrays import interpolation, noise_panel, projections
from latent_digits.evaluation.measures import Evaluation, evaluation_of, latents, reconstructions
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
)
from latent_digits.study.noise import Noise
from studies import dataset

NONE = Noise(0.0, 0.0, 0.0, 0.0)


@pytest.fixture
def evaluation() -> Iterator[Evaluation]:
    with one_thread():  # as in `evaluate`; BLAS's threads only wait for each other here
        yield evaluation_of(dataset(60, 0), dataset(40, 1), dataset(50, 2), seed=3, resamples=500)


def test_interval_of_a_mean(evaluation: Evaluation) -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = evaluation.interval("m", values)
    assert found["m"] == pytest.approx(values.mean())
    error = values.std() / 20
    assert found["m_low"] == pytest.approx(found["m"] - 1.96 * error, abs=0.3 * error)
    assert found["m_high"] == pytest.approx(found["m"] + 1.96 * error, abs=0.3 * error)
    assert found == evaluation.interval("m", values)


@pytest.mark.parametrize("images", [2, 7, 2000])
def test_the_interval_is_scipys(evaluation: Evaluation, images: int) -> None:
    values = np.random.default_rng(0).normal(5, 2, images)
    rng = np.random.default_rng(evaluation.seed_for("bootstrap"))
    theirs = bootstrap((values,), np.mean, n_resamples=500, method="percentile", rng=rng)
    found = evaluation.interval("m", values)
    interval = theirs.confidence_interval
    assert (found["m_low"], found["m_high"]) == pytest.approx((interval.low, interval.high))


def test_pca_is_sklearns_and_all_components_lose_nothing(evaluation: Evaluation) -> None:
    few, many = (evaluation.summary(evaluation.pca(n))["test_mse"] for n in (2, 59))
    assert few > many > 0
    same = Evaluation(evaluation.train, evaluation.val, evaluation.train, 3, 100, "", ())
    assert same.summary(same.pca(59))["test_mse"] == pytest.approx(0, abs=1e-10)


def test_without_noise_nothing_is_lost_to_noise(evaluation: Evaluation) -> None:
    model = Autoencoder(3, 0.0)
    found = evaluation.summary(evaluation.denoiser(model, NONE, NONE))
    assert found["noisy_test_mse"] == 0
    assert found["test_mse"] == found["as_coded_test_mse"]
    assert found["test_mse"] == pytest.approx(
        evaluation.summary(evaluation.autoencoder(model))["test_mse"]
    )


def test_a_vaes_terms_add_up_and_dead_latents_are_not_active(evaluation: Evaluation) -> None:
    model = VariationalAutoencoder(4)
    with torch.no_grad():
        model.mu[-1].weight[1:] = 0  # latents 1 to 3 say the same of every image
        model.mu[-1].weight[0] = 1000 * torch.randn(64, generator=torch.Generator().manual_seed(0))
    found = evaluation.summary(evaluation.vae(model, active_variance=0.01))
    total = found["test_squared_error"] + found["test_kl"]
    assert found["test_loss"] == pytest.approx(total, rel=1e-5)
    assert found["active_units"] == 1


def test_accuracy_and_confusion_agree(evaluation: Evaluation) -> None:
    model = Classifier(Encoder(3, 0.0), Head(3, 8)).eval()
    matrix = evaluation.confusion(model)
    assert matrix.shape == (10, 10)
    assert matrix.sum() == 50
    found = evaluation.summary(evaluation.classifier(model, 7))
    assert found["test_accuracy"] == pytest.approx(np.trace(matrix) / 50)
    assert found["trainable_parameters"] == 7


def test_arrays_of_the_figures(evaluation: Evaluation) -> None:
    model, vae = Autoencoder(3, 0.0).eval(), VariationalAutoencoder(3).eval()
    images = evaluation.val.images
    assert latents(model, images).shape == latents(vae, images).shape == (40, 3)
    assert reconstructions(model, images[:9]).shape == (9, 28, 28)
    path = interpolation(vae, evaluation.val, 5)
    ends = reconstructions(vae, torch.stack([images[0], images[9]]))
    np.testing.assert_allclose(path[[0, -1]], ends, atol=1e-6)
    panel = noise_panel(images[0], NONE, seed=0)
    assert panel.shape == (5, 28, 28)
    np.testing.assert_allclose(panel, panel[:1].repeat(5, 0), atol=1e-6)
    plane = projections(np.random.default_rng(0).normal(size=(40, 3)), perplexity=5, seed=1)
    assert plane["pca"].shape == plane["tsne"].shape == (40, 2)

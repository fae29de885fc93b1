"""What the figures draw, on untrained models and tiny sets."""

import numpy as np
import pytest
import torch
from torch import nn

from latent_digits.arithmetic import one_thread
from latent_digits.evaluation.arrays import (
    SHOWN,
    classes_read,
    decoded_plane,
    denoising,
    layers,
    layers_of,
    prior_samples,
    variance_shares,
)
from latent_digits.evaluation.measures import LabelledImages
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
    parameter_count,
)
from latent_digits.study.noise import Noise
from studies import dataset

NOISE = Noise(0.5, 0.3, 0.05, 0.5)


@pytest.fixture
def sample() -> LabelledImages:
    made = dataset(40, 1)
    return LabelledImages(torch.from_numpy(made.images)[:, None], torch.from_numpy(made.labels))


@pytest.fixture
def classifier() -> nn.Module:
    torch.manual_seed(0)
    return Classifier(Encoder(3, 0.0), Head(3, 8)).eval()


def test_failures_are_what_is_read_otherwise_than_labelled(
    sample: LabelledImages, classifier: nn.Module
) -> None:
    denoiser = Autoencoder(3, 0.0).eval()
    with one_thread():
        arrays, counts = denoising(denoiser, classifier, sample, NOISE, seed=1)
        again, _ = denoising(denoiser, classifier, sample, NOISE, seed=1)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    assert counts["images"] == 40
    assert (arrays["failed_label"] != arrays["failed_read"]).all()
    assert len(arrays["failed_clean"]) == min(SHOWN, counts["misread"]["denoised"]) > 0
    for group in ("typical", "failed"):
        read = classes_read(classifier, arrays[f"{group}_denoised"])
        np.testing.assert_array_equal(read, arrays[f"{group}_read"])
    first = sample.images[:SHOWN, 0].numpy() / np.float32(255)
    np.testing.assert_allclose(arrays["typical_clean"], first)
    clean = classes_read(classifier, sample.images.float() / 255)
    assert counts["misread"]["clean"] == (clean != sample.labels.numpy()).sum()


def test_a_denoiser_that_never_fails_shows_no_failure(
    sample: LabelledImages, classifier: nn.Module
) -> None:
    denoiser = Autoencoder(3, 0.0).eval()
    with torch.no_grad():
        denoiser.decoder[-2].weight.zero_()  # the same image for all
    read = denoising(denoiser, classifier, sample, NOISE, seed=1)[0]["typical_read"][0]
    same = LabelledImages(sample.images, torch.full_like(sample.labels, int(read)))
    arrays, counts = denoising(denoiser, classifier, same, NOISE, seed=1)
    assert counts["misread"]["denoised"] == 0
    assert arrays["failed_clean"].shape == (0, 28, 28)


def test_prior_samples_repeat_and_differ() -> None:
    model = VariationalAutoencoder(4).eval()
    one, same, other = (prior_samples(model, 4, seed) for seed in (1, 1, 2))
    assert one.shape == (64, 28, 28)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_plane_is_decoded_where_it_says() -> None:
    """The first image is at the top left: latent 1 smallest, latent 2 largest."""
    model = Autoencoder(2, 0.0).eval()
    z = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32) * (1, 3)
    plane = decoded_plane(model, z)
    (left, right), (bottom, top) = plane["window"]
    assert right - left == pytest.approx(top - bottom)
    assert ((z[:, 1] > bottom) & (z[:, 1] < top)).mean() == pytest.approx(0.99, abs=0.005)
    cell = (right - left) / 15 / 2
    corner = torch.tensor([[left + cell, top - cell]], dtype=torch.float32)
    with torch.no_grad():
        expected = model.decoder(corner)[0, 0].numpy()
    np.testing.assert_allclose(plane["grid"][0, 0], expected, atol=1e-6)


def test_shares_of_variance() -> None:
    z = np.random.default_rng(0).normal(size=(300, 4))
    values = np.linalg.eigvalsh(np.cov(z.T))[::-1]
    np.testing.assert_allclose(variance_shares(z), values / values.sum())


def test_layers_are_the_models_own() -> None:
    model = Autoencoder(3, 0.1).eval()
    found = layers(model, 28)
    shapes = [[1, 28, 28], [8, 14, 14], [16, 7, 7], [32, 3, 3], [288], [64], [3]]
    assert [row["shape"] for row in found["encoder"]] == shapes
    assert [row["shape"] for row in found["decoder"]] == shapes[::-1]
    first = {"layer": "Conv2d", "shape": [8, 14, 14], "parameters": 80, "kernel": 3, "stride": 2}
    assert found["encoder"][1] == {**first, "then": ["ReLU", "Dropout2d"]}
    total = sum(row.get("parameters", 0) for rows in found.values() for row in rows)
    assert total == parameter_count(model)


def test_a_layer_that_nobody_foresaw_is_a_row() -> None:
    stack = nn.Sequential(nn.Conv2d(1, 2, 5), nn.BatchNorm2d(2), nn.GELU()).eval()
    rows = list(layers_of(stack, torch.zeros(1, 1, 28, 28)))
    assert [row["layer"] for row in rows] == ["input", "Conv2d", "BatchNorm2d"]
    assert rows[1]["kernel"] == 5
    assert rows[2]["then"] == ["GELU"]

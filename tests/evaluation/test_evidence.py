"""The evidence of claims by hand, and all of it on made-up images and untrained models."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from latent_digits.arithmetic import one_thread
from latent_digits.catalogue import MODELS
from latent_digits.evaluation.evidence import (
    WAYS,
    behaviour,
    evidence,
    labels,
    of_both,
    pca_errors,
    stated,
    steepness,
)
from latent_digits.evaluation.measures import Evaluation, evaluation_of
from latent_digits.evaluation.metrics import Models
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
)
from latent_digits.project.params import load_params
from latent_digits.report.claims import judged
from latent_digits.report.dataset_info import DIGITS, DatasetInfo
from smoke import PROJECT
from studies import dataset


@pytest.fixture
def evaluation() -> Evaluation:
    return evaluation_of(dataset(60, 0), dataset(40, 1), dataset(50, 2), seed=3, resamples=100)


def test_a_mean_has_its_interval_and_count_and_a_number_nothing(evaluation: Evaluation) -> None:
    assert stated(evaluation, 3) == {"value": 3}
    same = {"value": 2.0, "low": 2.0, "high": 2.0, "count": 9}
    assert stated(evaluation, np.full(9, 2.0)) == same


def test_errors_of_few_components_are_those_of_a_smaller_pca() -> None:
    x = np.random.default_rng(0).random((40, 6))
    found = pca_errors(PCA(svd_solver="covariance_eigh").fit(x), x, [2, 6, 7])
    small = PCA(2).fit(x)
    expected = ((small.inverse_transform(small.transform(x)) - x) ** 2).mean(axis=1)
    np.testing.assert_allclose(found[2], expected, atol=1e-12)
    np.testing.assert_allclose(found[6], 0, atol=1e-12)
    assert 7 not in found  # there are no more


def test_steepness_of_an_edge() -> None:
    image = np.zeros((1, 2, 4))
    image[:, :, 2:] = 0.5
    assert steepness(image) == pytest.approx([0.5 * 2 / 8])  # at two of eight pixels


def test_the_vae_is_compared_in_pairs() -> None:
    found = of_both("a", {"ae": np.array([1.0, 2.0]), "vae": np.array([3.0, 1.0])})
    assert found["a/vae - ae"].tolist() == [2.0, -1.0]


def test_all_of_it_on_made_up_images_repeats_and_is_enough_for_the_claims(
    evaluation: Evaluation,
) -> None:
    params = load_params(PROJECT / "params.yaml")
    with one_thread():
        found = measured(evaluation, params)
        assert measured(evaluation, params) == found
    json.dumps(found, allow_nan=False)
    of_means = [one for one in found.values() if "count" in one]
    assert all(one["low"] <= one["value"] <= one["high"] for one in of_means)
    assert found["zero_to_nine/vae/middle/8"]["count"] == 5  # zeros and nines of 50 images
    assert found["latent_dim/tuned"] == {"value": 4}
    names = {name for name in found if name.startswith("mse/ae/")}
    assert names == {"mse/ae/2", "mse/ae/3", "mse/ae/4"}
    assert {name for name in found if name.startswith("labels/10/")} == {
        *("labels/10/pretrained", "labels/10/untrained", "labels/10/end_to_end"),
        *("labels/10/gain", "labels/10/more"),
    }
    assert "labels/60/gain" in found  # 60 training images
    assert found["operations/head"] == {"value": 2 * (4 * 8 + 8 * 10)}
    convolutions = 2 * 9 * (14 * 14 * 8 + 7 * 7 * 8 * 16 + 3 * 3 * 16 * 32)
    assert found["operations/encoder"] == {"value": convolutions + 2 * (288 * 64 + 64 * 4)}
    assert "labels/60/more" not in found
    claims = judged(found, {}, {}, {}, DatasetInfo("MNIST", DIGITS, 28), most_latents=50)
    assert [one.because for one in claims if "claims.json" in one.because] == []


def measured(evaluation: Evaluation, params: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    networks = {
        "ae": Autoencoder(4, 0.0),
        "ae_2d": Autoencoder(2, 0.0),
        "denoiser": Autoencoder(4, 0.0),
        "vae": VariationalAutoencoder(4),
        "vae_2d": VariationalAutoencoder(2),
        "classifier": Classifier(Encoder(4, 0.0), Head(4, 8)),
    }
    about = {name: {"latent_dim": 2 if name.endswith("2d") else 4} for name in MODELS}
    about["latents/3"] = {"latent_dim": 3}
    models = Models(networks | {"latents/3": Autoencoder(3, 0.0)}, about)
    found = {
        name: evaluation.autoencoder(models.networks[name]) for name in ("ae", "ae_2d", "latents/3")
    }
    few = [f"labels/{way}_10" for way in WAYS]
    for name in (*WAYS.values(), *few):
        found[name] = evaluation.classifier_of_few_labels(networks["classifier"])
    return evidence(evaluation, models, found, lambda: behaviour(evaluation, models, params))


def test_the_gain_of_pretraining_is_taken_in_pairs_at_every_number_of_labels(
    evaluation: Evaluation,
) -> None:
    right = {"classifier": [1, 1], "classifier_random_encoder": [0, 0]}
    right |= {"classifier_end_to_end": [1, 1], "labels/pretrained_10": [1, 1]}
    right |= {"labels/untrained_10": [0, 1], "labels/end_to_end_10": [0, 1]}
    measured = {name: {"test_accuracy": np.array(values)} for name, values in right.items()}
    found = {key: np.asarray(value).tolist() for key, value in labels(evaluation, measured).items()}
    assert found["labels/10/gain"] == found["labels/10/more"] == [1, 0]
    assert found["labels/60/gain"] == [0, 0]
    assert found["labels/10/untrained"] == [0, 1]

"""Methods of denoising beside each other, on images whose errors are known."""

import numpy as np
import pytest
import torch

from latent_digits.evaluation.denoising import compared, squared_error, stacked, thinned
from latent_digits.evaluation.filters import FILTERS
from latent_digits.evaluation.measures import LabelledImages
from latent_digits.models.networks import Classifier, Encoder, Head


def test_images_are_thinned_evenly() -> None:
    sample = LabelledImages(torch.zeros(50, 1, 2, 2), torch.arange(50))
    assert thinned(sample, 10).labels.tolist() == list(range(0, 50, 5))
    assert len(thinned(sample, 60).labels) == 50


def test_stored_images_are_floats_one_behind_the_other() -> None:
    found = stacked(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8))
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.ones((3, 2, 2)))


def test_the_denoiser_is_compared_in_pairs() -> None:
    classifier = Classifier(Encoder(3, 0.0), Head(3, 8)).eval()
    clean = LabelledImages(torch.zeros(4, 1, 28, 28, dtype=torch.uint8), torch.arange(4))
    images = {name: np.full((4, 28, 28), 0.2, np.float32) for name in ("noisy", *FILTERS)}
    images["denoiser"] = np.zeros((4, 28, 28), np.float32)
    found = compared(images, clean, classifier)
    assert squared_error(images["noisy"], images["denoiser"]) == pytest.approx([0.04] * 4)
    assert found["denoiser/mse"].tolist() == [0.0] * 4
    assert found["denoiser - median/mse"] == pytest.approx([-0.04] * 4)
    taken = int(classifier(torch.zeros(1, 1, 28, 28)).argmax())
    assert found["denoiser/accuracy"].tolist() == [float(taken == label) for label in range(4)]

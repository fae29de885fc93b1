"""Measures of paths on frames that are drawn by hand."""

import numpy as np
import pytest
import torch

from latent_digits.evaluation.measures import reconstructions
from latent_digits.evaluation.paths import (
    FRAMES,
    bending,
    decoded_paths,
    departure,
    disjoint_pairs,
    seen,
    unevenness,
)
from latent_digits.models.networks import Autoencoder, Classifier, Encoder, Head


def frames(*levels: float) -> np.ndarray:
    """A path of grey images [1, T, 2, 2]."""
    return np.array(levels)[None, :, None, None] * np.ones((1, 1, 2, 2))


def test_even_steps_jumps_and_standing_still() -> None:
    assert unevenness(frames(0, 1, 2, 3)) == pytest.approx([1.0])
    assert unevenness(frames(0, 0, 0, 3)) == pytest.approx([3.0])  # the mean step is a third of it
    assert unevenness(frames(2, 2, 2)) == pytest.approx([1.0])


def test_a_cross_fade_does_not_bend() -> None:
    assert bending(frames(0, 1, 2, 3)) == pytest.approx([0.0])
    assert bending(frames(0, 1, 0, 1)) == pytest.approx([2.0])
    assert bending(frames(2, 2, 2)) == pytest.approx([0.0])


def test_departure_is_the_middles_distance_over_the_ends() -> None:
    digits = np.array([[0.0] * 4, [4.0] * 4])
    # From the nearest digit the ends are 1 and 1 a pixel away, the middle 2.
    assert departure(frames(1, 2, 3), digits) == pytest.approx([2.0])


def test_pairs_have_no_position_twice_and_repeat_with_the_seed() -> None:
    first, second = disjoint_pairs(np.arange(30), np.arange(100, 120), 15, seed=1)
    assert len(first) == len(second) == 15
    assert len({*first, *second}) == 30
    again = disjoint_pairs(np.arange(30), np.arange(100, 120), 15, seed=1)
    np.testing.assert_array_equal((first, second), again)
    assert len(disjoint_pairs(np.arange(30), np.arange(100, 120), 99, seed=1)[0]) == 20


def test_a_path_begins_and_ends_with_the_reconstructions() -> None:
    model = Autoencoder(3, 0.0).eval()
    images = torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8)
    z = model.encoder(images / 255).detach().numpy()
    found = decoded_paths(model, z[:2], z[2:])
    assert found.shape == (2, FRAMES, 28, 28)
    expected = reconstructions(model, images)
    np.testing.assert_allclose(found[:, 0], expected[:2], atol=1e-6)
    np.testing.assert_allclose(found[:, -1], expected[2:], atol=1e-6)
    classifier = Classifier(Encoder(3, 0.0), Head(3, 8)).eval()
    digits = seen(classifier, found)
    assert digits.shape == (2, FRAMES)
    assert digits[1, 0] == classifier(found[1:2, :1]).argmax()

"""Classical filters against values computed by hand, and the noise they are made for."""

import numpy as np
import pytest

from latent_digits.evaluation.filters import (
    FILTERS,
    Tuned,
    divergence,
    filtered,
    gradient,
    line,
    total_variation,
    tuned,
)


def test_total_variation_of_two_pixels() -> None:
    """Each moves towards the other by the weight, until they are equal."""
    y = np.array([[[0.0, 1.0]]])
    np.testing.assert_allclose(total_variation(y, 0.2), [[[0.2, 0.8]]], atol=1e-6)
    np.testing.assert_allclose(total_variation(y, 0.7), [[[0.5, 0.5]]], atol=1e-3)


@pytest.mark.parametrize("name", FILTERS)
def test_images_are_filtered_each_for_itself_one_behind_the_other(name: str) -> None:
    """Sums over their pixels are then taken in the order that all other methods' are."""
    apply, (strength, *_) = FILTERS[name]
    y = np.random.default_rng(0).random((250, 5, 4))  # in more than one part
    found = filtered(y, apply, strength)
    assert found.flags.c_contiguous
    assert found.shape == y.shape
    np.testing.assert_array_equal(found[124:126], apply(y[124:126], strength))


def test_total_variation_keeps_the_mean_and_grey() -> None:
    y = np.random.default_rng(0).random((9, 5, 4))
    found = total_variation(y, 0.3)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), y.mean(axis=(1, 2)))
    np.testing.assert_array_equal(total_variation(np.full((1, 3, 3), 0.4), 1.0), 0.4)


def test_divergence_is_the_negative_adjoint_of_the_gradient() -> None:
    rng = np.random.default_rng(0)
    x, p = rng.random((4, 5, 2)), rng.random((2, 4, 5, 2))
    assert (gradient(x) * p).sum() == pytest.approx(-(x * divergence(p)).sum())


def test_the_line_of_least_squares_undoes_a_change_of_grey_values() -> None:
    x = np.random.default_rng(0).random((3, 4, 4))
    assert line(0.5 * x + 0.25, x) == pytest.approx((2.0, -0.5))
    assert line(np.zeros_like(x), x) == (0.0, pytest.approx(x.mean()))


@pytest.mark.parametrize("name", FILTERS)
def test_a_tuned_filter_is_nearer_to_the_clean_images_than_the_noisy_ones(name: str) -> None:
    rng = np.random.default_rng(0)
    x = np.zeros((20, 12, 12))
    x[:, 3:9, 3:9] = 1.0
    y = np.clip(x + rng.normal(0.3, 0.2, x.shape), 0, 1)
    found = tuned(name, x, y)
    assert ((found(y) - x) ** 2).mean() < 0.5 * ((y - x) ** 2).mean()
    apply, strengths = FILTERS[name]
    others = [Tuned(apply, one, *line(apply(y, one), x)) for one in strengths]
    assert found in others
    assert ((found(y) - x) ** 2).mean() == min(((one(y) - x) ** 2).mean() for one in others)

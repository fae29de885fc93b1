"""Verdicts on both sides of their margins, and intervals against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from latent_digits.report.rules import (
    Interval,
    above,
    agreed,
    around,
    below,
    between_seeds,
    every,
    over_seeds,
    said,
    student,
    within,
)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [((1.1, 1.5), "supported"), ((0.9, 1.1), "undecided"), ((0.5, 1.0), "contradicted")],
)
def test_superiority(bounds: tuple[float, float], expected: str) -> None:
    low, high = bounds
    assert above(Interval((low + high) / 2, low, high), 1.0) == expected
    assert below(Interval(-(low + high) / 2, -high, -low), -1.0) == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((-0.5, 0.9), "supported"),
        ((0.2, 0.3), "supported"),  # a difference that is sure and does not matter
        ((0.5, 1.5), "undecided"),
        ((-2.0, 2.0), "undecided"),
        ((1.0, 1.5), "contradicted"),
        ((-3.0, -1.0), "contradicted"),
    ],
)
def test_equivalence(bounds: tuple[float, float], expected: str) -> None:
    assert within(Interval(sum(bounds) / 2, *bounds), 1.0) == expected


def test_verdicts_together() -> None:
    assert every("supported", "supported") == "supported"
    assert every("supported", "undecided") == "undecided"
    assert every("supported", "undecided", "contradicted") == "contradicted"
    assert agreed("contradicted", "contradicted") == "contradicted"
    assert agreed("supported", "contradicted") == "undecided"


def test_students_quantiles() -> None:
    for freedom in range(1, 11):
        assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=6e-4)
    assert student(30) == student(10)


def test_intervals_over_seeds_are_scipys() -> None:
    one, other = np.random.default_rng(0).normal(5, 2, (2, 5)).tolist()
    found = over_seeds(one)
    expected = stats.ttest_1samp(one, 0).confidence_interval()
    assert found == pytest.approx((np.mean(one), *expected), abs=1e-3)
    found = between_seeds(one, other)
    expected = stats.ttest_ind(one, other).confidence_interval()
    assert found == pytest.approx((np.mean(one) - np.mean(other), *expected), abs=1e-2)


def test_numbers_in_words() -> None:
    assert said(around(0.0123, 0.001), 100, 1, " %") == "1.2 % (1.1 to 1.3)"
    assert said(around(3.5, 0)) == "3.50"

"""Labels that do not hide each other, and words in a row."""

import numpy as np
import pytest

from latent_digits.report.figures.style import listed, percent, spread


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.1, 0.9, 0.5], [0.1, 0.9, 0.5]),  # far enough
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.6, 0.4, 0.5], [0.6, 0.4, 0.5]),
        ([0.52, 0.5, 0.0], [0.56, 0.46, 0.0]),
        ([], []),
    ],
)
def test_spread_moves_as_little_as_needed(places: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(spread(places, 0.1), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("words", "text"), [([], "none"), ([1], "1"), ("ab", "a and b"), ("abc", "a, b and c")]
)
def test_listed(words: list, text: str) -> None:
    assert listed(words) == text


def test_percent() -> None:
    assert (percent(0.125), percent(0.12345, 1)) == ("12 %", "12.3 %")

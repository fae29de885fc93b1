"""The verdict on each published number: it needs both images and seeds, and flips with them."""

import pytest

from latent_digits.report.published import COMPARED, Published, published_values, standing
from latent_digits.report.values import Seeds, Source, Value

SOURCE = Source("a", "b")
LOWER = Published("ae.test_mse", "title", None, "", 0.010, 0.05, "lower")
HIGHER = LOWER._replace(better="higher")


def value(mean: float, deviation: float, half: float, count: int = 5) -> Value:
    """Of these seeds, with an interval of so much to each side over images."""
    seeds = Seeds(mean, deviation, count) if count else None
    return Value("ae.test_mse", mean, SOURCE, "", mean - half, mean + half, seeds)


@pytest.mark.parametrize(
    ("found", "published", "verdict"),
    [
        (value(0.008, 1e-4, 1e-4), LOWER, "better"),
        (value(0.008, 1e-4, 1e-4), HIGHER, "worse"),
        (value(0.008, 2e-3, 1e-4), LOWER, "not told apart"),  # of seeds
        (value(0.008, 1e-4, 2e-3), LOWER, "not told apart"),  # of images
        (value(0.008, 1e-3, 1e-4, count=2), LOWER, "not told apart"),  # of few seeds
        (value(0.0101, 5e-5, 1e-4), LOWER, "reproduced"),
        (value(0.0101, 1e-3, 1e-4), LOWER, "not told apart"),
        (value(0.008, 1e-4, 1e-4, count=0), LOWER, "one training: not told"),
        (value(0.008, 1e-4, 1e-4), LOWER._replace(better=None), "–"),
        (value(0.008, 1e-4, 1e-4), LOWER._replace(weights=None), "–"),
    ],
)
def test_verdicts(found: Value, published: Published, verdict: str) -> None:
    assert standing(found, published).verdict == verdict


def test_the_interval_is_the_one_of_the_formula() -> None:
    """t₄ = 2.7764; SE of images 1.96 / 1.95996 · 10⁻⁴."""
    found = standing(value(0.008, 1e-4, 1.959964e-4), LOWER)
    width = 2.776445 * (2 * 1e-8 + 1e-8 * 1.2) ** 0.5
    assert (found.low, found.high) == pytest.approx((-0.002 - width, -0.002 + width), rel=1e-5)


def test_published_numbers_keep_their_own_digits() -> None:
    texts = {one.name: one.text for one in published_values()}
    assert texts["paper.ae.test_mse"] == "0.0087"
    assert texts["paper.classifier.test_accuracy"] == "98.1 %"
    assert {f"weights.{one.name}" for one in COMPARED} <= set(texts)

"""Which classes and test images became worse, of data sets with any classes and with none."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fake_github import comparison
from latent_digits.comparison.markdown import render
from latent_digits.comparison.pairs import worst_classes, worst_images
from latent_digits.comparison.values import MetricRow

WORSE = 20  # the class that became so, under the one headline of the comparison


def revision(values: np.ndarray, labels: np.ndarray | None) -> Any:
    """One with a value for each test image, as far as pairs are asked for."""
    arrays = {} if labels is None else {"labels": labels}
    return SimpleNamespace(
        per_image=(arrays, {}), of_images=lambda name: values, right=lambda name: None
    )


@pytest.fixture
def both() -> tuple[Any, Any, list[MetricRow]]:
    """26 classes, of which one has larger errors afterwards."""
    labels = np.arange(520) % 26
    before = np.random.default_rng(0).normal(20, 1, 520)
    after = before + np.where(labels == WORSE, 5.0, 0.0) + 0.01 * np.arange(520) / 520
    return revision(before, labels), revision(after, labels), comparison().metrics


def test_any_class_may_become_worse(both: tuple[Any, Any, list[MetricRow]]) -> None:
    found = worst_classes(*both)
    assert found[-1].images == 20
    assert {one.label for one in found if one.head - one.base > 1} == {WORSE}
    assert {one.label for one in worst_images(*both)} == {WORSE}


def test_images_without_labels_have_no_class(both: tuple[Any, Any, list[MetricRow]]) -> None:
    base, head, rows = both
    for one in (base, head):
        del one.per_image[0]["labels"]
    assert worst_classes(base, head, rows) == []
    found = worst_images(base, head, rows)
    assert {one.label for one in found} == {None}
    text = render(comparison().model_copy(update={"worsened": found}))
    assert f"| `ae_mse_e3` | {found[0].index} | – |" in text

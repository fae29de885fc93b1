"""Points, and the signs written among them."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pytest

from drawn import FASHION, study
from latent_digits.report.dataset_info import DIGITS
from latent_digits.report.figures.planes import (
    SIGNS_ACROSS,
    Points,
    apart,
    autoencoder_plane,
    nearest,
    outside,
    overlap,
    principal_components,
    tsne,
)
from latent_digits.report.figures.style import SMALL, STYLE, WIDTH


def test_written_signs_are_apart_and_leave_no_room() -> None:
    points = np.random.default_rng(0).random((2000, 2))
    kept = points[apart(points, 1.0)]
    gaps = np.linalg.norm(kept[:, None] - kept, axis=-1) + np.eye(len(kept))
    assert gaps.min() > 1 / SIGNS_ACROSS
    nearest_kept = np.linalg.norm(points[:, None] - kept, axis=-1).min(axis=1)
    assert nearest_kept.max() <= 1 / SIGNS_ACROSS


def test_nearest_medians() -> None:
    points = np.array([[0.0, 0], [0, 0], [0, 0], [5, 0], [5, 0], [1, 0]])
    share, pair = nearest(points, np.array([3, 3, 3, 8, 8, 8]))
    assert share == 5 / 6
    assert pair == (8, 3)


def test_points_outside_the_window_are_counted() -> None:
    shown = study()
    points = shown["ae_2d.z"][: shown.max_points]
    assert outside(shown, "ae_2d") == (np.abs(points) > 2).any(axis=1).sum() > 0


def test_classes_by_name_or_as_digits() -> None:
    places, labels = np.array([[0.0, 0], [0, 0], [1, 0], [3, 0], [9, 9]]), np.array([3, 3, 3, 8, 8])
    of_digits = overlap(Points(places, labels, study().dataset))
    assert of_digits.endswith(
        "their own digit than to another's; most often a 8 is nearer to the 3s."
    )
    of_words = overlap(Points(places, labels, study("F", FASHION).dataset))
    assert of_words.endswith('own class than to another\'s; most often "Bag" is nearer to "Dress".')


def test_classes_that_lie_apart_are_never_taken_for_each_other() -> None:
    places, labels = np.array([[0.0, 0], [0, 0], [9, 9]]), np.array([0, 0, 1])
    found = overlap(Points(places, labels, study("F", FASHION).dataset))
    assert (
        found
        == "100 % of the points are nearer to the median of their own class than to another's."
    )


@pytest.mark.parametrize("figure", [principal_components, tsne, autoencoder_plane])
@pytest.mark.parametrize("count", [2, 10, 50])
def test_a_key_names_the_class_of_every_sign(figure: Any, count: int) -> None:
    names = [f"species number {n}" for n in range(count)]
    with matplotlib.rc_context(STYLE):
        drawn = figure(study("species", names)).draw()
    (key,) = drawn.legends
    assert [one.get_text() for one in key.get_texts()] == names
    assert {one.get_size() for one in key.get_texts()} == {SMALL}
    assert drawn.get_size_inches()[0] <= WIDTH


@pytest.mark.parametrize("classes", [DIGITS, tuple("abc"), ()])
def test_signs_that_are_names_need_no_key(classes: Sequence[str]) -> None:
    assert principal_components(study("letters", classes)).draw().legends == []

"""Points, and the digits written among them."""

import numpy as np

from drawn import study
from latent_digits.report.figures.planes import DIGITS_ACROSS, apart, nearest, outside


def test_written_digits_are_apart_and_leave_no_room() -> None:
    points = np.random.default_rng(0).random((2000, 2))
    kept = points[apart(points, 1.0)]
    gaps = np.linalg.norm(kept[:, None] - kept, axis=-1) + np.eye(len(kept))
    assert gaps.min() > 1 / DIGITS_ACROSS
    nearest_kept = np.linalg.norm(points[:, None] - kept, axis=-1).min(axis=1)
    assert nearest_kept.max() <= 1 / DIGITS_ACROSS


def test_nearest_medians() -> None:
    points = np.array([[0.0, 0], [0, 0], [0, 0], [5, 0], [5, 0], [1, 0]])
    share, pair = nearest(points, np.array([3, 3, 3, 8, 8, 8]))
    assert share == 5 / 6
    assert pair == (8, 3)


def test_points_outside_the_window_are_counted() -> None:
    shown = study()
    points = shown["ae_2d.z"][: shown.max_points]
    assert outside(shown, "ae_2d") == (np.abs(points) > 2).any(axis=1).sum() > 0

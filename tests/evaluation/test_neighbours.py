"""Nearest neighbours against hand-counted ones and scikit-learn's."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from latent_digits.evaluation.neighbours import knn_right, nearest


def test_equally_distant_points_are_taken_by_position() -> None:
    known = np.array([[1.0], [-1.0], [1.0], [5.0]])
    assert sorted(nearest(known, np.zeros((1, 1)), 2)[0]) == [0, 1]
    assert sorted(nearest(known[::-1], np.zeros((1, 1)), 2)[0]) == [1, 2]


def test_neighbours_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    known, asked = rng.normal(3, 1, (700, 6)), rng.normal(3, 1, (600, 6))  # more than one block
    expected = NearestNeighbors(n_neighbors=4).fit(known).kneighbors(asked, return_distance=False)
    np.testing.assert_array_equal(np.sort(nearest(known, asked, 4)), np.sort(expected))


def test_the_majority_of_five_is_right_and_the_lowest_label_wins_a_tie() -> None:
    known = np.array([[0.0], [0.1], [0.2], [0.3], [0.4], [9.0]])
    labels = np.array([2, 2, 1, 1, 0, 3])  # of the five near 0 two votes each for 1 and 2
    asked = np.zeros((3, 1))
    assert knn_right(known, labels, asked, np.array([1, 2, 3])).tolist() == [1.0, 0.0, 0.0]

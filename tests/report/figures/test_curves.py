"""Learning curves: which epoch is marked, and errors on a logarithmic axis."""

import math

import pytest

from drawn import history
from latent_digits.report.figures.curves import Curve


def test_the_epoch_of_the_least_validation_loss_is_kept() -> None:
    curve = Curve("name", history(0.5, 0.2, 0.3), "kl", "black")
    assert (curve.kept, curve.best) == (1, 0.2)


def test_an_accuracy_is_shown_as_an_error_which_is_nowhere_where_it_is_0() -> None:
    rows = history(0.5, 0.2)
    rows[1]["val_accuracy"] = 1.0
    half, nothing = Curve("name", rows, "accuracy", "black").values("val")
    assert half == pytest.approx(50)
    assert math.isnan(nothing)

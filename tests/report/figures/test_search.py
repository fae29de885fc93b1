"""What hyperparameters explain, against scipy, and axes that end at ticks."""

import numpy as np
import pytest
from scipy.stats import f_oneway

from drawn import study, trial
from latent_digits.report.figures.search import (
    SCALES,
    as_text,
    chosen,
    explained,
    groups,
    importances,
    ordered,
    search,
)


def test_epsilon_squared_follows_from_the_f_test() -> None:
    """ε² = (k − 1)(F − 1) / ((k − 1) F + n − k)."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], 20)
    values = kinds + rng.normal(size=60)
    f = f_oneway(*(values[kinds == kind] for kind in range(3))).statistic
    assert explained(kinds, values) == pytest.approx(2 * (f - 1) / (2 * f + 57))


def test_all_nothing_and_nothing_to_compare() -> None:
    kinds = np.array([0, 0, 1, 1])
    assert explained(kinds, np.array([1.0, 1.0, 3.0, 3.0])) == 1
    assert explained(kinds, np.array([1.0, 3.0, 1.0, 3.0])) == 0
    assert explained(np.zeros(4, int), np.arange(4.0)) is None  # one kind
    assert explained(kinds, np.ones(4)) is None  # no variance
    assert explained(np.zeros(0, int), np.zeros(0)) is None


def test_bins_have_equally_many_rows_and_kinds_are_their_own() -> None:
    rows = [trial(number, "complete", 0.1) for number in range(8)]
    assert groups("latent_dim", rows).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert groups("batch_size", rows).tolist() == [0] * 8


def test_rows_without_the_value_are_left_out() -> None:
    rows = [trial(number, "pruned", 0.01 * 3**number) for number in range(8)]
    late = [{**row, "val_mse_1": None} for row in rows]
    assert importances(rows, "val_mse_1") == importances([*rows, *late], "val_mse_1")
    found = importances(rows, "val_mse_1")["dropout"]
    assert found is not None
    assert found > 0.8


def test_axes_end_at_ticks() -> None:
    scale = SCALES["val_mse"]
    assert np.exp(scale.ends(np.log([0.0054, 0.095]))) == pytest.approx([0.005, 0.1])
    assert SCALES["optimizer"].ends(SCALES["optimizer"].of(["sgd", "adam"])) == (0, 1)
    assert (as_text(1e-5, "powers"), as_text(0.05, "log")) == ("10⁻⁵", "0.05")


def wide(number: int, **widths: object) -> dict[str, object]:
    return {**trial(number, "complete", 0.01 + 0.01 * number), **widths}


def test_widths_are_shown_only_where_the_search_had_a_choice() -> None:
    same = [wide(n, channels="[8, 16, 32]", units=64.0) for n in range(4)]
    usual = ["latent_dim", "optimizer", "lr", "batch_size", "dropout"]
    assert chosen(same) == usual
    other = wide(4, channels="[16, 32, 64]", units=64.0)
    assert chosen([*same, other]) == [*usual, "channels"]
    drawing = search(study(trials=[*same, {**other, "val_mse": 0.001}]))
    assert "a dropout of 0.4 and channels 16, 32, 64." in drawing.alt
    axes = drawing.draw().axes
    assert "channels" in {text.get_text() for text in axes[0].texts}
    assert "units" not in {text.get_text() for text in axes[0].texts}
    assert "channels" not in search(study(trials=same)).alt


def test_kinds_are_in_the_order_of_their_numbers() -> None:
    assert ordered(["[16, 32, 64]", "[8, 16, 32]", "[16, 32, 64]"]) == [
        "[8, 16, 32]",
        "[16, 32, 64]",
    ]
    assert ordered(["sgd", "adam"]) == ["adam", "sgd"]
    assert ordered([128.0, 64.0, 256.0]) == [64.0, 128.0, 256.0]

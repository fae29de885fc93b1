"""The names of parent runs."""

import pytest

from latent_digits.tracking.mlflow.naming import parent_run_name

BEFORE = {"seed": "1", "ae.patience": "4", "ae.lr": "0.1", "plot.dpi": "150"}
CODE = {"src/latent_digits/training/optimizers.py": "a", "stages/plot.py": "b"}


@pytest.mark.parametrize(
    ("dirty", "params", "sources", "name"),
    [
        (False, {}, {}, "d4b6fd2"),
        (True, {}, {}, "d4b6fd2 + changes"),
        (False, {"seed": 2}, {}, "d4b6fd2 seed 2"),
        (True, {"ae.patience": 8}, {}, "d4b6fd2 + changes: ae.patience 8"),
        (False, {}, {"src/latent_digits/training/optimizers.py": "c"}, "d4b6fd2 optimizers.py"),
        (False, {}, {"src/latent_digits/engine": "c"}, "d4b6fd2 engine"),
        (
            True,
            {"seed": 2, "ae.lr": 0.2, "plot.dpi": 80},
            {"stages/plot.py": "c"},
            "d4b6fd2 + changes: seed 2, ae.lr 0.2, 2 more",
        ),
    ],
)
def test_a_name_says_commit_and_what_changed(
    dirty: bool, params: dict, sources: dict, name: str
) -> None:
    now = {"seed": 1, "ae.patience": 4, "ae.lr": 0.1, "plot.dpi": 150} | params
    assert parent_run_name("d4b6fd2" * 5, dirty, now, CODE | sources, BEFORE, CODE) == name


def test_the_first_state_has_changed_nothing() -> None:
    assert parent_run_name("d4b6fd2" * 5, False, {"seed": 1}, CODE, {}, {}) == "d4b6fd2"
    assert parent_run_name("", False, {"seed": 1}, CODE, {}, {}) == "no commit"

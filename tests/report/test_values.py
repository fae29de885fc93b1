"""Values: their digits, intervals and seeds, and a sentence for one that nobody made."""

from typing import Any

import pytest

from latent_digits.console import UserError
from latent_digits.report.values import Seeds, Source, Value, Values, over_seeds, values_of

SOURCE = Source("reports/evaluation.json", "dvc repro evaluate", "abc")
TREE = {"ae": {"test_mse": 0.0038, "test_mse_low": 0.0037, "test_mse_high": 0.0039, "epochs": 50}}


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        ("ae.test_mse", 0.00380701, "0.00381"),
        ("vae.test_loss", 27.2176, "27.22"),
        ("classifier.test_accuracy", 0.983, "98.30 %"),
        ("hparams.lr", 0.0074645, "7.46 × 10⁻³"),
        ("hparams.dropout", 0.0018439, "0.001844"),
        ("params.prepare.train", 48000, "48 000"),
        ("params.prepare.seed", 20210622, "20210622"),
        ("hparams.optimizer", "adam", "adam"),
        ("params.dropout", None, "–"),
    ],
)
def test_a_quantity_has_the_same_digits_wherever_it_stands(name: str, raw: Any, text: str) -> None:
    assert Value(name, raw, SOURCE, name).text.replace("\u00a0", " ") == text


def test_leaves_have_their_intervals_and_seeds() -> None:
    seeds = over_seeds([{"details": {"ae.test_mse": x}} for x in (0.001, 0.003)])
    values = Values(values_of(TREE, SOURCE, seeds=seeds))
    assert list(values) == ["ae.test_mse", "ae.epochs"]
    mse = values["ae.test_mse"]
    assert mse.seeds == Seeds(0.002, pytest.approx(0.0014142, rel=1e-4), 2)
    assert mse.interval.replace("\u00a0", " ") == "0.00370 to 0.00390"
    assert mse.over_seeds.replace("\u00a0", " ") == "0.00200 ± 0.00141"
    assert (mse.trainings, values["ae.epochs"].interval) == ("2", "–")


def test_one_training_has_no_seeds() -> None:
    assert over_seeds([{"details": {"ae.test_mse": 0.001}}]) == {}


def test_what_is_printed_is_marked_and_remembered() -> None:
    values = Values(values_of(TREE, SOURCE))
    assert values.show("ae.epochs") == "\ue000ae.epochs\ue00150\ue002"
    assert list(values.printed) == ["ae.epochs"]


def test_a_value_that_nobody_made_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"value ae\.kl is missing: reports/evaluation\.json"):
        Values(values_of(TREE, SOURCE))["ae.kl"]

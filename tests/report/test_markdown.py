"""The generated report says what the numbers say, and the committed one is that of the committed
numbers."""

import json
from pathlib import Path

import pytest

from latent_digits.catalogue import MODELS
from latent_digits.console import UserError
from latent_digits.data.storage import read_csv, read_json
from latent_digits.report.markdown import cells, comparison, render_report, value, verdict
from latent_digits.report.published import COMPARED, Published
from latent_digits.study.trainings import VAE_WARMUP
from latent_digits.training.optimizers import WARMUP
from smoke import PROJECT

REPORTS, SOURCE = PROJECT / "reports", PROJECT / "src/latent_digits"
LOWER = Published("a.b", "name", None, "0.5", "lower")
HIGHER = Published("a.b", "name", None, "0.5", "higher")
NEITHER = Published("a.b", "name", None, "0.5", None)


@pytest.mark.parametrize(
    ("found", "interval", "published", "said"),
    [
        (0.4, (0.39, 0.41), LOWER, "better"),
        (0.6, (0.59, 0.61), LOWER, "worse"),
        (0.6, (0.59, 0.61), HIGHER, "better"),
        (0.6, (0.59, 0.61), NEITHER, "–"),
        (0.4, (0.3, 0.6), LOWER, "no clear difference"),
        (0.4, (None, None), HIGHER, "worse"),
        (0.5, (None, None), LOWER, "equal"),
        (0.4, (0.3, 0.6), Published("a.b", "name", "0.5", None, "lower"), "–"),
    ],
)
def test_verdicts(found: float, interval: tuple, published: Published, said: str) -> None:
    assert verdict(found, *interval, published) == said


@pytest.mark.parametrize(
    ("number", "text"), [(9, "9"), (0.00676771, "0.006768"), (28.0109, "28.01"), (3e-7, "3·10⁻⁷")]
)
def test_values(number: float, text: str) -> None:
    assert value(number) == text


def test_every_compared_number_is_one_of_the_metrics() -> None:
    metrics = json.loads((REPORTS / "evaluation.json").read_text())
    rows = [comparison(metrics, one) for one in COMPARED]
    assert all(row["run"] for row in rows)


def test_the_warm_ups_that_the_template_names_are_those_of_the_code() -> None:
    text = " ".join((SOURCE / "report/report.md.j2").read_text().split())
    assert f"over the first {WARMUP} steps (the VAE's over {VAE_WARMUP:,})" in text


def test_an_ablation_that_is_not_complete_is_refused() -> None:
    row = {"warmup": 1, "val_mse": [0.1], "val_mse_without_average": [0.1]}
    dead = {"dead": {"encoder_4": 0.0, "decoder_2": 0.0}}
    rows = [row | dead | {"initial": name} for name in ("one", "one", "other")]
    with pytest.raises(UserError, match="not complete; `make ablation`"):
        cells(rows)
    (cell, other) = cells([*rows, rows[2] | {"val_mse": [0.3]}])
    assert (cell["mse"], other["mse"]) == ("0.10000 ± 0.00000", "0.20000 ± 0.14142")


def test_the_committed_report_is_that_of_the_committed_numbers() -> None:
    histories = {name: read_csv(REPORTS / f"histories/{name}.csv") for name in MODELS}
    names = "evaluation.json", "hyperparameters.json", "ablation.json"
    metrics, hparams, ablation = (read_json(REPORTS / name) for name in names)
    trials = read_csv(REPORTS / "trials.csv")
    text = render_report(metrics, hparams, trials, histories, ablation)
    assert text == Path(REPORTS / "report.md").read_text()

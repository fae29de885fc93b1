"""Trainings on real workers: they go on where they were, and say which of them failed."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latent_digits.console import UserError
from latent_digits.data.resume_cache import ResumeCache
from latent_digits.project.params import FabricParams
from latent_digits.study.execution import run_trainings
from latent_digits.study.trainings import AutoencoderTraining, Trained
from latent_digits.training.loop import Recipe
from latent_digits.training.training_data import TrainingData

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("project"),
]
ALONE = FabricParams(
    accelerator="auto", devices=1, num_nodes=1, strategy="auto", precision="32-true"
)
RECIPE = Recipe("adam", 1e-3, 16, epochs=4, patience=4)


def training_data(black_rows: int = 0) -> TrainingData:
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), dtype=np.uint8)
    images[:, :black_rows] = 0
    labels = np.arange(64) % 10
    return TrainingData(images[:48], labels[:48], images[48:], labels[48:])


def run(recipes: dict[str, Recipe], metrics: Any, black_rows: int = 0) -> dict[str, Trained]:
    trainings = {
        name: AutoencoderTraining(latent_dim=4, dropout=0.1, recipe=recipe, seed=1)
        for name, recipe in recipes.items()
    }
    data = training_data(black_rows)
    return run_trainings(ResumeCache("train_ae", data), data, trainings, ALONE, metrics)


def test_a_training_goes_on_after_its_last_epoch_and_logs_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logged: list[tuple[str, int]] = []

    def until_ae_2d_has_two(values: dict[str, Any], step: int) -> None:
        logged.append((*values, step))
        if logged[-1] == ("ae_2d", 2):
            raise KeyboardInterrupt

    recipes = {"ae": RECIPE, "ae_2d": RECIPE}
    with pytest.raises(KeyboardInterrupt):
        run(recipes, until_ae_2d_has_two)
    found = run(recipes, lambda values, step: logged.append((*values, step)))
    assert sorted(logged) == [(name, epoch) for name in recipes for epoch in range(1, 5)]
    assert "train_ae ae_2d: going on after epoch 2 of at most 4" in capsys.readouterr().err
    assert {path.stem for path in Path(".resume/train_ae").iterdir()} == {"lock", "ae", "ae_2d"}

    shutil.rmtree(".resume")
    whole = run(recipes, lambda values, step: None)
    for name in recipes:
        assert found[name].history == whole[name].history
        for key, weights in whole[name].weights.items():
            np.testing.assert_array_equal(found[name].weights[key], weights)


def test_a_loss_that_is_not_finite_names_stage_variant_epoch_and_learning_rate() -> None:
    recipe = Recipe("sgd", 1e30, 16, epochs=4, patience=4)
    message = (
        r"^train_ae ae: the loss is not finite at epoch \d, learning rate 1e\+30; "
        r"lower the learning rate in params\.yaml \(under tune where .* from the search\)\.$"
    )
    with pytest.raises(UserError, match=message):
        run({"ae": recipe}, lambda values, step: None)


def test_a_collapse_names_what_could_be_its_cause() -> None:
    recipe = Recipe("sgd", 1e-9, 16, epochs=4, patience=1, warmup=3)
    message = (
        r"^train_ae ae: no better than a constant answer after 5 attempts, learning rate 1e-09; "
        r"raise the learning rate or patience .*, else lower the learning rate or the dropout in "
        r"params\.yaml"
    )
    with pytest.raises(UserError, match=message):  # an untrained model answers one grey
        run({"ae": recipe}, lambda values, step: None, black_rows=14)

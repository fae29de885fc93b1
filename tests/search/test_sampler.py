"""The search: one table whatever the order of evaluation, pruning by earlier generations only."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from latent_digits.console import UserError
from latent_digits.models.architecture import Architecture
from latent_digits.models.networks import Autoencoder, parameter_count
from latent_digits.project.params import TuneParams, load_params
from latent_digits.search import sampler as tuning
from latent_digits.search.sampler import (
    PlannedTrial,
    Trial,
    best_trial,
    columns,
    conclude,
    final_state,
    pruning_bars,
    run_trial,
    search,
    table,
)
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.hyperparameters import Hyperparameters
from latent_digits.training.initialization import initialised
from latent_digits.training.optimizers import WARMUP
from latent_digits.training.training_data import TrainingData
from smoke import PROJECT


def tune(**changes: int) -> TuneParams:
    return load_params(PROJECT / "params.yaml").tune.model_copy(update=changes)


def invented(planned: PlannedTrial) -> Trial:
    """A trial whose value is a smooth function of its hyperparameters."""
    hparams = planned.hparams
    final = abs(hparams.dropout - 0.1) + abs(math.log10(hparams.lr) + 2.5) + 1 / hparams.latent_dim
    best = []
    for epoch, bar in enumerate(planned.bars):
        best.append(final * (1 + 1 / (epoch + 1)))
        if best[-1] > bar:
            break
    state = final_state(best, planned.bars, math.inf)
    return Trial(planned.number, planned.generation, hparams, state, tuple(best))


def forward(planned: Sequence[PlannedTrial]) -> list[Trial]:
    return [invented(one) for one in planned]


def backward(planned: Sequence[PlannedTrial]) -> list[Trial]:
    return [invented(one) for one in reversed(planned)]


def trial(number: int, *values: float, state: str = "complete") -> Trial:
    return Trial(number, 0, Hyperparameters(2, "adam", 0.1, 64, 0.0), state, values)


def test_the_order_of_evaluation_does_not_matter() -> None:
    params = tune(trials=25, generation=5)
    assert search(forward, params, math.inf, 1) == search(backward, params, math.inf, 1)
    assert search(forward, params, math.inf, 1) != search(forward, params, math.inf, 2)


def test_trial_0_is_the_reports_hyperparameters_and_numbers_are_complete() -> None:
    params = tune(trials=13, generation=5)
    trials = search(forward, params, math.inf, 1)
    first = asdict(trials[0].hparams)
    assert first | {"channels": [8, 16, 32]} == params.report_hyperparameters.model_dump()
    assert [one.number for one in trials] == list(range(13))
    assert [one.generation for one in trials] == [0] * 5 + [1] * 5 + [2] * 3


def test_layers_widths_are_searched_where_there_is_a_choice_and_else_nothing_is_drawn() -> None:
    params = tune(trials=40, generation=10)
    channels, units = [[8, 16, 32], [4, 4, 8], [16, 32, 64]], [64, 16]
    space = params.space.model_copy(update={"channels": channels, "units": units})
    wide = search(forward, params.model_copy(update={"space": space}), math.inf, 1)
    assert {one.hparams.channels for one in wide} == {*map(tuple, channels)}
    assert {one.hparams.units for one in wide} == {*units}
    assert {row["channels"] for row in table(wide)} == {"8-16-32", "4-4-8", "16-32-64"}
    paper = search(forward, params, math.inf, 1)
    assert {(one.hparams.channels, one.hparams.units) for one in paper} == {((8, 16, 32), 64)}
    assert paper[1].hparams.lr == wide[1].hparams.lr  # what is drawn before the widths


def test_the_search_gets_better_and_prunes() -> None:
    trials = search(forward, tune(trials=60, generation=10), math.inf, 1)
    first, last = trials[1:11], trials[-10:]
    assert np.median([t.value for t in last]) < np.median([t.value for t in first])
    assert "pruned" in {t.state for t in trials}


def bars(trials: Sequence[Trial], constant_mse: float = math.inf, **changes: int) -> tuple:
    params = {"epochs": 3, "pruning_warmup": 1, "pruning_peers": 2} | changes
    return pruning_bars(trials, tune(**params), constant_mse)


def test_bars_are_the_worst_of_the_best_complete_trials() -> None:
    trials = [
        trial(0, 9.0, 4.0, 0.1),
        trial(1, 8.0, 5.0, 0.2),
        trial(2, 7.0, 0.3, 0.3),
        trial(3, 0.0, state="pruned"),
    ]
    assert bars(trials) == (9.0, 5.0, math.inf)
    assert bars(trials, pruning_warmup=2) == (math.inf, 5.0, math.inf)
    assert bars(trials, pruning_peers=1) == (9.0, 4.0, math.inf)
    assert bars(trials, constant_mse=6.0) == (6.0, 5.0, math.inf)


def test_before_there_are_enough_peers_a_trial_must_beat_the_mean_image() -> None:
    assert bars([trial(0, 3.0, 2.0, 1.0)], constant_mse=6.0) == (6.0, 6.0, math.inf)
    assert bars([], constant_mse=6.0) == (6.0, 6.0, math.inf)


def test_states() -> None:
    assert final_state([0.5], [0.4, math.inf], 1.0) == "pruned"
    assert final_state([0.5, 0.4], [math.inf, math.inf], 1.0) == "complete"
    assert final_state([0.5, 0.4], [math.inf, math.inf], 0.4) == "degenerate"
    assert final_state([0.5], [0.4, math.inf], 0.4) == "degenerate"


def test_a_collapsed_or_failed_trial_never_wins() -> None:
    trials = [
        trial(0, 0.01, state="degenerate"),
        trial(1, 0.5),
        trial(2, state="failed"),
        trial(3, 0.02, state="pruned"),
        trial(4, 0.3),
    ]
    assert best_trial(trials).number == 4
    message = r"none of the 1 trials is complete \(failed\).* tune\.epochs and tune\.pruning_warmup"
    with pytest.raises(UserError, match=message):
        best_trial([trials[2]])


def test_no_trials_use_the_reports_hyperparameters() -> None:
    params = tune(trials=0)
    assert search(forward, params, math.inf, 1) == []
    hparams, found = conclude([], params)
    assert hparams.latent_dim == 33
    assert found == {"found_by": "original report"}


def test_the_table_has_a_cell_for_every_column() -> None:
    rows = table([trial(0, 0.3, 0.2), trial(1, state="failed")])
    assert set(rows[0]) == set(columns(2))
    assert rows[1]["val_mse"] is None
    assert rows[1]["epochs"] == 0


def ignore(checkpoint: Checkpoint) -> None:
    pass


def training_data() -> TrainingData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 28, 28), dtype=np.uint8)
    labels = np.arange(64) % 10
    return TrainingData(images[:48], labels[:48], images[48:], labels[48:])


def test_a_real_trial_repeats_and_stops_at_its_bar_once_it_is_warm() -> None:
    bars = (math.inf, *[0.0] * 12, math.inf)
    planned = PlannedTrial(
        3, 1, Hyperparameters(4, "adam", 1e-3, 1, 0.1), bars
    )  # 48 steps an epoch
    reports: list[Checkpoint] = []
    one = run_trial(training_data(), planned, 7, None, reports.append)
    assert one.state == "pruned"
    assert [len(checkpoint.history) for checkpoint in reports] == list(range(1, 12))
    assert 10 * 48 < WARMUP <= 11 * 48
    assert one == run_trial(training_data(), planned, 7, None, ignore)
    for checkpoint in reports[::5]:
        assert one == run_trial(training_data(), planned, 7, checkpoint, ignore)
    assert one.val_mse == tuple(sorted(one.val_mse, reverse=True))


def test_a_trial_trains_the_network_that_it_names() -> None:
    seen: list[int] = []
    hparams = Hyperparameters(4, "adam", 1e-3, 16, 0.0, channels=(2, 3, 5), units=7)

    def report(checkpoint: Checkpoint) -> None:
        seen.append(checkpoint.arrays["values"].size)

    run_trial(training_data(), PlannedTrial(0, 0, hparams, (math.inf,)), 7, None, report)
    assert seen == [parameter_count(Autoencoder(4, 0.0, Architecture(28, (2, 3, 5), 7)))]


def test_a_dead_network_is_recorded_as_collapsed_and_a_live_one_is_not() -> None:
    rng = np.random.default_rng(0)
    shapes = np.zeros((2, 28, 28), dtype=np.uint8)
    shapes[0, :14] = 255  # two kinds of image, far from their mean
    train, val = (shapes[rng.permutation(count) % 2] for count in (512, 64))
    two = TrainingData(train, np.zeros(512), val, np.zeros(64))
    bars = (math.inf,) * 10
    dead, live = (
        run_trial(
            two, PlannedTrial(0, 0, Hyperparameters(4, "adam", 1e-2, 16, p), bars), 7, None, ignore
        )
        for p in (1.0, 0.0)
    )
    assert dead.state == "degenerate"
    assert live.state == "complete"
    assert live.live_units is not None
    assert 4 <= live.live_units <= 64


def test_a_trial_with_a_dead_layer_is_collapsed_whatever_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cut(*arguments: Any) -> Autoencoder:
        model = initialised(*arguments)
        model.decoder[3].bias.data.fill_(-1e3)
        return model

    monkeypatch.setattr(tuning, "initialised", cut)
    monkeypatch.setattr(tuning, "constant_mse", lambda training_data: 1.0)
    planned = PlannedTrial(0, 0, Hyperparameters(4, "sgd", 1e-9, 16, 0.0), (math.inf, math.inf))
    trial = run_trial(training_data(), planned, 7, None, ignore)
    assert (trial.state, trial.live_units) == ("degenerate", 0)

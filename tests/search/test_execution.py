"""The search on real workers: one table whatever their number, and whatever happens to them."""

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from latent_digits.data.storage import Row
from latent_digits.project.params import load_params
from latent_digits.search import execution as searching
from latent_digits.search.sampler import Trial, table
from latent_digits.training.training_data import TrainingData
from remote import dying_trial
from smoke import PROJECT

pytestmark = pytest.mark.slow

TRIALS = {"trials": 6, "generation": 3, "startup_trials": 3, "pruning_warmup": 1, "epochs": 4}


def training_data() -> TrainingData:
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 256, (160, 1, 1), dtype=np.uint8)  # easy to learn
    images = np.broadcast_to(shades, (160, 28, 28)).copy()
    labels = np.arange(160) % 10
    return TrainingData(images[:128], labels[:128], images[128:], labels[128:])


@pytest.fixture
def search(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the search on so many workers, in a copy of the project."""
    params = load_params(PROJECT / "params.yaml").tune.model_copy(update=TRIALS)
    logged: list[Row] = []
    run: Any = SimpleNamespace(metrics=lambda values, step: None, trial=logged.append)

    def run_search(count: int) -> list[Trial]:
        monkeypatch.setattr(searching, "side_by_side", lambda most: count)
        logged.clear()
        trials = searching.run_search(training_data(), params, 1, run)
        assert sorted(logged, key=lambda row: row["trial"]) == table(trials)
        return trials

    return run_search


def test_one_two_and_four_workers_give_one_table(search: Any) -> None:
    tables = []
    for count in (1, 2, 4):
        shutil.rmtree(".resume", ignore_errors=True)
        tables.append(search(count))
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == TRIALS["trials"]


def test_a_worker_killed_on_the_way_changes_nothing(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(2)
    shutil.rmtree(".resume")
    monkeypatch.setattr(searching, "run_trial", partial(dying_trial, tmp_path / "marker"))
    assert search(2) == whole
    assert (tmp_path / "marker").exists()


def test_a_search_goes_on_with_the_trials_that_are_finished(
    search: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    finish = searching.StoredTrial.finish

    def finish_some(stored: searching.StoredTrial, trial: Trial) -> None:
        ran.append(stored.slot.name)
        if len(ran) == 5:
            raise KeyboardInterrupt  # between a trial's end and its being stored
        finish(stored, trial)

    monkeypatch.setattr(searching.StoredTrial, "finish", finish_some)
    with pytest.raises(KeyboardInterrupt):
        search(2)
    lost = ran[-1]
    found = search(2)
    assert sorted([*ran, lost]) == sorted([f"trial-{n}" for n in range(6)] + [lost, lost])
    assert "tune: 3 of trials 0 to 2 were finished before" in capsys.readouterr().err
    files = {path.name for path in Path(".resume/tune").iterdir()}
    assert files == {"lock", *(f"trial-{n}.safetensors" for n in range(6))}
    shutil.rmtree(".resume")
    assert search(1) == found

"""The ablation: what it varies is what it says, and a killed one goes on."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from latent_digits.commands import ablation
from latent_digits.data.dataset import Dataset, save_dataset
from latent_digits.data.storage import read_json
from latent_digits.models.networks import Autoencoder
from latent_digits.preparation.collection import DIGITS
from latent_digits.project.params import load_params
from latent_digits.training.hyperparameters import Hyperparameters
from latent_digits.training.loop import Recipe
from latent_digits.training.training_data import TrainingData
from smoke import PROJECT

HYPERPARAMETERS = Hyperparameters(3, "adam", 1e-3, 16, 0.0)
RECIPE = Recipe("adam", 1e-3, 16, epochs=3, patience=3)


def ignore(event: object) -> None:
    pass


def dataset(count: int) -> Dataset:
    images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return Dataset(images, np.arange(count) % 10, np.arange(count), "split", "made up", DIGITS)


def test_a_training_is_measured_with_and_without_its_average() -> None:
    train, val = dataset(64), dataset(32)
    training_data = TrainingData(train.images, train.labels, val.images, val.labels)
    rows = [
        ablation.InCell(HYPERPARAMETERS, RECIPE, 1, cell)(training_data, ignore)
        for cell in ablation.CELLS
    ]
    for row, cell in zip(rows, ablation.CELLS, strict=True):
        assert row.items() >= cell.items()
        for name in ("val_mse", "val_mse_without_average"):
            assert len(row[name]) == RECIPE.epochs
            assert row[name] == sorted(row[name], reverse=True)
        assert row["val_mse"] != row["val_mse_without_average"]
    assert len({row["val_mse"][0] for row in rows}) == len(rows)
    again = ablation.InCell(HYPERPARAMETERS, RECIPE, 1, ablation.CELLS[0])(training_data, ignore)
    assert again == rows[0]


def test_the_initial_weights_are_what_their_names_say() -> None:
    build = partial(Autoencoder, 3, 0.0)
    pytorchs, hes, ours = (make(1, build, 0.2) for make in ablation.INITIAL.values())
    linear = torch.nn.Linear(288, 64)
    assert pytorchs.encoder[10].weight.std().item() == pytest.approx(
        linear.weight.std().item(), rel=0.05
    )
    for index, fan_in in ((0, 9), (3, 72), (6, 144), (13, 64)):
        assert hes.encoder[index].weight.var().item() == pytest.approx(2 / fan_in, rel=0.35)
    assert hes.decoder[-2].bias.item() == 0.0
    assert ours.decoder[-2].bias.sigmoid().item() == pytest.approx(0.2)


@pytest.mark.slow
def test_it_goes_on_after_a_kill_and_keeps_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dvc.yaml", "stages", "src"):
        (tmp_path / name).symlink_to(PROJECT / name)
    text = (PROJECT / "params.yaml").read_text().replace("epochs: 50", "epochs: 1")
    text = text.replace("trials: 100", "trials: 2").replace("epochs: 10", "epochs: 1")
    # So little teaches none of them anything.
    monkeypatch.setattr(ablation, "best_trial", partial(min, key=lambda trial: trial.value))
    monkeypatch.setattr(ablation, "EPOCHS", 1)
    (tmp_path / "params.yaml").write_text(text)
    for name, count in (("train", 64), ("val", 32)):
        save_dataset(tmp_path / f"data/split/{name}.safetensors", dataset(count))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ablation, "SEEDS", 1)
    ablation.main()
    whole = read_json(ablation.FILE)
    assert len(whole["rows"]) == len(ablation.CELLS) + 1
    measured = {name for name, row in whole["rows"].items() if "heads" in row}
    assert measured == {"this study's, 500 steps, seed 1", "untrained encoder, seed 1"}
    assert {*whole["rows"]["this study's, 500 steps, seed 1"]["heads"]} == {"standardized", "raw"}
    assert list(whole["trials"]) == ["0", "1"]
    given = load_params(tmp_path / "params.yaml").tune.report_hyperparameters
    assert whole["search"]["lr"] != given.lr
    assert whole["search"]["val_mse"] == min(one["val_mse"][-1] for one in whole["trials"].values())
    half = whole | {"rows": dict(list(whole["rows"].items())[3:])}
    half["trials"] = {"1": whole["trials"]["1"]}
    half["rows"]["untrained encoder, seed 1"] = {"heads": {"raw": 0.5}}  # told from a new one
    ablation.write_json(ablation.FILE, half)
    ablation.main()
    found = read_json(ablation.FILE)
    assert list(found["rows"]) == list(whole["rows"])
    assert found["rows"].pop("untrained encoder, seed 1") == {"heads": {"raw": 0.5}}
    assert whole["rows"].items() >= found["rows"].items()
    assert list(found["trials"]) == ["0", "1"]
    assert (found["trials"], found["search"]) == (whole["trials"], whole["search"])
    (tmp_path / "params.yaml").write_text(text.replace("seed: 20210622 ", "seed: 20210623 ", 1))
    ablation.main()
    assert read_json(ablation.FILE)["rows"].items().isdisjoint(whole["rows"].items())

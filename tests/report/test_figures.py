"""Figures repeat to the byte and are drawn also where there was no search."""

from pathlib import Path

import numpy as np
import pytest

from latent_digits.report.figures import draw_figures


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = {
        name: rng.random((9, 28, 28))
        for name in (
            *("ae.input", "ae.output", "vae.input", "vae.output"),
            *("denoiser.input", "denoiser.output"),
        )
    }
    return images | {
        "architecture.encoder": np.array([(1, 28, 28), (8, 14, 14), (64, 0, 0)]),
        "architecture.decoder": np.array([(64, 0, 0), (8, 14, 14), (1, 28, 28)]),
        "noise.panel": rng.random((5, 28, 28)),
        "vae.interpolation": rng.random((7, 28, 28)),
        "ae.pca": rng.normal(size=(50, 2)),
        "ae.pca_share": np.array([0.5, 0.2]),
        "ae.tsne": rng.normal(size=(50, 2)),
        "ae_2d.z": rng.normal(size=(50, 2)),
        "vae_2d.z": rng.normal(size=(50, 2)),
        "val.labels": np.arange(50) % 7,  # digits 7 to 9 are missing
        "classifier.confusion": np.eye(10, dtype=np.int64),
    }


def history() -> list[dict[str, float]]:
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return [{"epoch": epoch, **dict.fromkeys(names, 1 / epoch)} for epoch in (1.0, 2.0, 3.0)]


def trial(number: int, state: str, value: float | None) -> dict:
    hparams = {"latent_dim": 3.0 + number, "optimizer": "adam", "lr": 1e-3, "batch_size": 64.0}
    return {"trial": number, "state": state, "val_mse": value, "dropout": 0.1, **hparams}


def draw(folder: Path, trials: list[dict]) -> dict[str, bytes]:
    histories = {"ae": history(), "classifier": history()}
    paths = draw_figures(folder, arrays(), histories, trials, dpi=50, max_points=40)
    return {path.name: path.read_bytes() for path in paths}


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    trials = [trial(0, "complete", 0.1), trial(1, "degenerate", 0.2), trial(2, "failed", None)]
    first, second = draw(tmp_path / "a", trials), draw(tmp_path / "b", trials)
    assert len([name for name in first if name.startswith("fig")]) == 13
    assert first == second
    assert all(content.startswith(b"\x89PNG") for content in first.values())
    assert not any(b"Software" in content for content in first.values())


@pytest.mark.parametrize("trials", [[], [trial(0, "complete", 0.1)]])
def test_no_search_and_a_single_trial(tmp_path: Path, trials: list[dict]) -> None:
    assert "fig13_search.png" in draw(tmp_path, trials)

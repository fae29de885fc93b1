"""What is measured: every model of the catalogue and every headline, or a sentence."""

from pathlib import Path
from typing import Any

import pytest

from latent_digits.catalogue import METRICS, MODELS, Metric
from latent_digits.console import UserError
from latent_digits.evaluation import metrics
from latent_digits.evaluation.metrics import MEASURED_BY, headlines, load_models, measured

ANYTHING: Any = None


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each measure gives the model's name alone."""
    for name in MEASURED_BY:
        monkeypatch.setitem(MEASURED_BY, name, lambda evaluation, models, params, name: {name: 1})


def names() -> list[str]:
    return [name for name, _ in measured(ANYTHING, ANYTHING, ANYTHING)]


def test_every_model_is_measured_and_pca_beside_them() -> None:
    assert sorted(names()) == sorted([*MODELS, "pca"])


def test_a_model_that_nobody_measures_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MODELS", (*MODELS, "ae_8d"))
    with pytest.raises(UserError, match=r"MODELS has ae_8d, which nobody measures; say how in"):
        names()


def test_a_measured_name_that_no_stage_trains_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MEASURED_BY, "ae_8d", metrics.autoencoder)
    with pytest.raises(UserError, match=r"has ae_8d, which no stage trains; name it in"):
        names()


def test_a_model_without_a_headline_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(one for one in METRICS if one.group != "vae_2d")
    monkeypatch.setattr(metrics, "METRICS", others)
    with pytest.raises(UserError, match=r"MODELS has vae_2d, of which there is no headline"):
        names()


def test_a_headline_that_is_not_measured_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"ae": {"test_mse": 0.005, "val_mse": 0.006}}
    monkeypatch.setattr(metrics, "METRICS", METRICS[:1])
    assert headlines(found) == {"ae_mse_e3": 5.0}
    monkeypatch.setattr(metrics, "METRICS", (Metric("ae.ssim", "ssim", "SSIM", 1, "as said"),))
    with pytest.raises(
        UserError, match=r"has ae\.ssim, which is not measured; there are ae\.test_mse, ae\.val_mse"
    ):
        headlines(found)


def test_a_trained_model_that_the_catalogue_lacks_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "ae_8d.safetensors").touch()
    with pytest.raises(UserError, match=r"has ae_8d, which catalogue\.MODELS does not name"):
        load_models(tmp_path, ANYTHING)

"""What is measured: every model of the catalogue and every headline, or a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from latent_digits.catalogue import METRICS, MODELS, SERIES, Metric
from latent_digits.console import UserError
from latent_digits.evaluation import metrics
from latent_digits.evaluation.measures import evaluation_of
from latent_digits.evaluation.metrics import (
    MEASURED_BY,
    Models,
    headlines,
    load_models,
    measured,
)
from latent_digits.models.networks import Autoencoder
from latent_digits.project.params import load_params
from smoke import PROJECT
from studies import dataset

ANYTHING: Any = None


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each measure gives the model's name alone."""
    for kind in MEASURED_BY:
        monkeypatch.setitem(MEASURED_BY, kind, lambda evaluation, models, params, name: {name: 1})


def names() -> list[str]:
    evaluation = SimpleNamespace(pca=lambda components: {"pca": components})
    networks = dict.fromkeys((*MODELS, "latents/4", "labels/pretrained_10"))
    models = SimpleNamespace(about={"ae": {"latent_dim": 2}}, networks=networks)
    return [name for name, _ in measured(evaluation, models, ANYTHING)]  # type: ignore[arg-type]


def test_every_model_is_measured_and_pca_beside_them() -> None:
    assert names() == [*MODELS, "latents/4", "labels/pretrained_10", "pca"]


def test_a_model_that_nobody_measures_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "gan", "gan")
    with pytest.raises(UserError, match=r"measured as gan; MEASURED_BY of .* knows autoencoder, "):
        names()
    monkeypatch.delitem(MODELS, "gan")
    monkeypatch.setitem(SERIES, "gans", "gan")
    with pytest.raises(UserError, match=r"measured as gan; "):
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
    (tmp_path / "layers").mkdir()
    (tmp_path / "latents").mkdir()
    with pytest.raises(
        UserError, match=r"has ae_8d, layers, which catalogue\.MODELS does not name"
    ):
        load_models(tmp_path, ANYTHING)


def test_the_members_of_a_series_are_found_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []

    def load(path: Path, dataset: Any) -> tuple[Path, dict[str, str]]:
        loaded.append(path)
        return path, {"name": path.name}

    monkeypatch.setattr(metrics, "load_model", load)
    (tmp_path / "latents").mkdir()
    for name in ("8.safetensors", "16.safetensors", ".8.safetensors.draft"):
        (tmp_path / "latents" / name).touch()
    models = load_models(tmp_path, dataset(10, 1))
    assert list(models.networks) == [*MODELS, "latents/16", "latents/8"]
    assert loaded == [tmp_path / f"{name}.safetensors" for name in models.networks]


def test_projections_are_those_of_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MagicMock()
    cache.__enter__().slot().load.return_value = None
    monkeypatch.setattr(metrics, "ResumeCache", lambda stage: cache)
    monkeypatch.setattr(metrics, "projections", lambda *_: {"threads": torch.get_num_threads()})
    torch.set_num_threads(2)
    assert metrics.kept_projections(np.zeros((3, 2)), 30, 0) == {"threads": 1}


@pytest.mark.parametrize("kept", [False, True])
def test_a_process_projects_unless_the_projections_are_kept(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    projected: Any = {"tsne": np.zeros((50, 2))}
    cache = MagicMock()
    cache.slot().load.return_value = (projected, {}) if kept else None
    begun: list[Any] = []

    @contextmanager
    def beside(function: Any, *arguments: Any) -> Iterator[Any]:
        begun.append(function)
        yield lambda: projected

    monkeypatch.setattr(metrics, "ResumeCache", lambda stage: cache)
    monkeypatch.setattr(metrics, "beside", beside)
    monkeypatch.setattr(metrics, "FEW", 0)
    sets = dataset(60, 0), dataset(40, 1), dataset(50, 2)
    evaluation = evaluation_of(*sets, seed=3, resamples=100)
    models = Models({"ae": Autoencoder(4, 0.0)}, {})
    with metrics.projecting(evaluation, models, load_params(PROJECT / "params.yaml")) as result:
        assert result() is projected
    assert begun == ([] if kept else [metrics.kept_projections])

"""Training over several processes: real ones, under Fabric with gloo, equal one process."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dask import config
from torch import nn

from latent_digits import engine
from latent_digits.console import UserError
from latent_digits.data.resume_cache import ResumeCache
from latent_digits.engine.draws import Share, draw_levels, sliced
from latent_digits.engine.functional import normal_sample
from latent_digits.project.params import FabricParams
from latent_digits.study.execution import run_trainings
from latent_digits.study.noise import Noise
from latent_digits.study.trainings import (
    AutoencoderTraining,
    ClassifierTraining,
    HeadTraining,
    Trained,
    Training,
    VaeTraining,
)
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.loop import EpochMetrics, Recipe
from latent_digits.training.ranks import DEFAULT, Ranks, Spread, run_rank
from latent_digits.training.training_data import TrainingData
from latent_digits.training.workers import CallError, Workers, workers
from remote import DyingRank, failing_rank, listening
from servers import Scheduler

pytestmark = pytest.mark.slow

TWO, THREE = (replace(DEFAULT, devices=count) for count in (2, 3))
RECIPE = Recipe("adam", 1e-3, 32, epochs=3, patience=3)
NOISE = Noise(0.5, 0.3, 0.05, 0.5)
COMMON: Any = {"latent_dim": 5, "recipe": RECIPE, "seed": 1}
AUTOENCODER = AutoencoderTraining(**COMMON, dropout=0.2)
# Dropout, noise and the VAE's samples are drawn in all of them.
TRAININGS: dict[str, Training] = {
    "autoencoder": AUTOENCODER,
    "denoiser": replace(AUTOENCODER, noise=NOISE),
    "vae": VaeTraining(**COMMON),
    "head": HeadTraining(**COMMON, hidden=16, encoder_weights=None),
    "classifier": ClassifierTraining(**COMMON, hidden=16, dropout=0.2),
}


def training_data() -> TrainingData:
    """129 images to learn from: the last batch has one, which not all processes can share."""
    images = np.random.default_rng(0).integers(0, 256, (629, 28, 28), dtype=np.uint8)
    labels = np.arange(629) % 10
    return TrainingData(images[:129], labels[:129], images[129:], labels[129:])


@pytest.fixture(scope="module")
def pool() -> Iterator[tuple[Workers, Any]]:
    """Three workers, and the data on each."""
    with workers(3) as pool:
        yield pool, pool.share(training_data())


def ignore(name: str, event: Any) -> None:
    pass


def close(found: list[EpochMetrics], expected: list[EpochMetrics], tolerance: float) -> None:
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            unit = 1 / 32 if name.startswith("dead_") else 0.0  # one may answer by a rounding
            assert value == pytest.approx(other[name], rel=tolerance, abs=unit)


@pytest.mark.parametrize("name", TRAININGS)
def test_two_and_three_processes_give_the_loss_curve_of_one(
    pool: tuple[Workers, Any], name: str
) -> None:
    here, shared = pool
    call = (TRAININGS[name], shared, None)
    expected = dict(here.run({name: call}, ignore))[name]
    heard: list[Any] = []
    found = here.run_spread(name, TWO, call, lambda name, event: heard.append((name, event)))
    again, by_three = (here.run_spread(name, spread, call, ignore) for spread in (TWO, THREE))
    close(found.history, expected.history, 1e-5)
    close(by_three.history, expected.history, 1e-5)
    epochs = [(who, len(event.history)) for who, event in heard if isinstance(event, Checkpoint)]
    assert epochs == [(name, n) for n in (1, 2, 3)]
    assert again.history == found.history
    for key, weights in found.weights.items():
        assert again.weights[key].tobytes() == weights.tobytes()
        np.testing.assert_allclose(weights, expected.weights[key], atol=1e-4)


def test_a_lower_precision_gives_about_the_same_curve(pool: tuple[Workers, Any]) -> None:
    here, shared = pool
    for name in ("denoiser", "vae"):
        call = (TRAININGS[name], shared, None)
        expected = dict(here.run({name: call}, ignore))[name].history
        one, two = (replace(DEFAULT, devices=n, precision="bf16-mixed") for n in (1, 2))
        alone = dict(here.run({name: (run_rank, one, 0, None, "", *call)}, ignore))[name]
        for history in (alone.history, here.run_spread(name, two, call, ignore).history):
            close(history, expected, 2e-2)  # bfloat16 has three digits
            assert history != expected


def test_a_rank_that_is_killed_is_replaced_and_the_result_is_the_same(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = DyingRank(**COMMON, dropout=0.2, marker=str(project / "marker"))
    found = run(training)
    assert "lost one of 2 processes" in capsys.readouterr().err
    _, second = map(int, (project / "marker").read_text().split())
    assert second in (1, 2)  # rank 0 may have reported its second epoch when rank 1 was killed
    shutil.rmtree(".resume")
    expected = run(training)
    assert found.history == expected.history
    for key, weights in expected.weights.items():
        np.testing.assert_array_equal(found.weights[key], weights)
    monkeypatch.setattr("latent_digits.study.execution.STARTS", 1)
    with pytest.raises(UserError, match="ae was given up: it lost a process in each of 1 starts"):
        run(replace(training, marker=str(project / "another")))


def run(training: Training) -> Trained:
    """A training over two processes, as a stage runs it."""
    two = FabricParams(
        accelerator="cpu", devices=2, num_nodes=1, strategy="ddp", precision="32-true"
    )
    cache = ResumeCache("train_ae", training_data())
    return run_trainings(cache, training_data(), {"ae": training}, two, lambda values, step: None)[
        "ae"
    ]


def test_the_exception_of_one_rank_is_what_is_raised(pool: tuple[Workers, Any]) -> None:
    here, shared = pool
    with pytest.raises(CallError) as error:
        here.run_spread("a", TWO, (failing_rank, shared), ignore)
    assert isinstance(error.value.__cause__, ZeroDivisionError)


def test_ranks_listen_on_loopback_only(pool: tuple[Workers, Any]) -> None:
    here, _ = pool
    assert here.run_spread("a", TWO, (listening,), ignore) == {"127.0.0.1"}
    alone = replace(DEFAULT, strategy="ddp")
    found = dict(here.run({"a": (run_rank, alone, 0, None, "", listening)}, ignore))
    assert found["a"] == {"127.0.0.1"}


def test_the_workers_of_two_hosts_and_a_scheduler_that_is_lost() -> None:
    spread = Spread("cpu", 1, 2, "ddp", "32-true")
    with Scheduler() as dask:
        for host in ("127.0.0.1", "127.0.0.2"):
            dask.start_worker(host)
        with config.set({"scheduler-address": dask.address}), workers(1) as here:
            call = (AUTOENCODER, here.share(training_data()), None)
            found = here.run_spread("ae", spread, call, ignore)
            expected = dict(here.run({"ae": call}, ignore))["ae"]
            close(found.history, expected.history, 1e-5)
            with pytest.raises(UserError, match=r"a (failed in Dask|was lost with Dask)"):
                here.run_spread("a", spread, call, lambda name, event: dask.kill())


def test_what_cannot_be_spread_is_a_sentence(
    pool: tuple[Workers, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, shared = pool
    call = (AUTOENCODER, shared, None)
    with pytest.raises(UserError, match="num_nodes is 2, but this machine's workers are on one"):
        here.run_spread("a", replace(TWO, num_nodes=2), call, ignore)
    monkeypatch.setattr("latent_digits.training.workers.WAIT_FOR_WORKERS", 0)
    with pytest.raises(UserError, match=r"for 4 workers on each of 1 hosts; found: 3 on 127\.0"):
        here.run_spread("a", replace(TWO, devices=4), call, ignore)
    small = (replace(AUTOENCODER, recipe=replace(RECIPE, batch_size=2)), shared, None)
    with pytest.raises(UserError, match="3 processes cannot share batches of 2 images"):
        here.run_spread("a", THREE, small, ignore)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="Fabric does not take the section `fabric` here"):
            here.run_spread("a", replace(TWO, accelerator="cuda"), call, ignore)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_slices_are_a_whole_batch(processes: int) -> None:
    for batch in (0, 1, 4, 64, 127):
        images = torch.arange(batch)
        parts = [images[Ranks(rank, processes).slice(batch)] for rank in range(processes)]
        assert torch.equal(torch.cat(parts), images)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_image_meets_the_same_draws_in_any_slice(way: str) -> None:
    layers = nn.Linear(1, 15), nn.ReLU(), nn.Dropout(0.5)
    network = engine.accelerate(nn.Sequential(*layers))

    def drawn(x: torch.Tensor) -> list[torch.Tensor]:
        torch.manual_seed(1)
        latents = normal_sample(*torch.zeros(2, 5, x.shape[-1]).mT)
        grey = torch.full_like(x, 0.5).movedim(-1, 0)
        drawn = [draw_levels(x.shape, x), NOISE(grey).movedim(0, -1), latents.movedim(0, -1)]
        if way == "kernels":  # each process draws the dropout of PyTorch's own layers for itself
            drawn.append(network(torch.ones(x.shape[-1], 1)).movedim(0, -1))
        return drawn

    whole = drawn(torch.zeros(3, 5, 17))
    for part in (slice(0, 6), slice(6, 17)):
        with sliced(Share(part.start, 17)):
            found = drawn(torch.zeros(3, 5, part.stop - part.start))
        for slice_of, all_of in zip(found, whole, strict=True):
            assert torch.equal(slice_of, all_of[..., part])

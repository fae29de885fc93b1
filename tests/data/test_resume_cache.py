"""State on disk: the same to the bit, of the same inputs only, and never in the way of a run."""

import errno
import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latent_digits.console import UserError
from latent_digits.data import resume_cache, storage
from latent_digits.data.fingerprint import fingerprint
from latent_digits.data.resume_cache import ResumeCache, Slot
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.checkpoint_file import CheckpointFile
from latent_digits.training.loop import Recipe

pytestmark = pytest.mark.usefixtures("project")
RECIPE = Recipe("adam", 1e-3, 16, epochs=2, patience=2)


def slot(name: str = "vae", stage: str = "train_vae", split: int = 1, lr: float = 0.1) -> Slot:
    return ResumeCache(stage, split).slot(name, lr)


def checkpoint(epochs: int, attempt: int = 1) -> Checkpoint:
    arrays = {"average": np.arange(5, dtype=np.float32) / 3, "steps": np.array([7])}
    history = [{"epoch": n, "val_loss": 0.1 / n, "val_kl": 0.0} for n in range(1, epochs + 1)]
    return Checkpoint(arrays, history, attempt)


def test_a_checkpoint_comes_back_to_the_bit() -> None:
    assert CheckpointFile(slot()).latest is None
    assert CheckpointFile(slot()).save(checkpoint(3, attempt=2))
    found = CheckpointFile(slot()).latest
    assert found is not None
    assert found.position == (2, 3)
    assert found.history == checkpoint(3).history
    assert list(found.history[0]) == list(checkpoint(3).history[0])  # a table's columns
    for name, array in checkpoint(3).arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_what_is_done_again_is_no_news() -> None:
    checkpoint_file = CheckpointFile(slot())
    news = [
        checkpoint_file.save(checkpoint(n, m)) for n, m in ((1, 1), (2, 1), (1, 1), (2, 1), (1, 2))
    ]
    assert news == [True, True, False, False, True]
    assert not CheckpointFile(slot()).save(checkpoint(9, 1))


@pytest.mark.parametrize("changed", [{"name": "ae"}, {"split": 2}, {"lr": 0.2}])
def test_state_of_other_inputs_is_never_used_and_soon_replaced(changed: dict[str, Any]) -> None:
    slot().save({}, {"a": 1})
    assert slot(**changed).load() is None
    slot(**changed).save({}, {"a": 2})
    assert slot(**changed).load() == ({}, {"a": 2})
    assert slot().load() == (({}, {"a": 1}) if "name" in changed else None)


@pytest.mark.parametrize(
    ("file", "used"),
    [
        ("src/latent_digits/training/loop.py", False),
        ("src/latent_digits/training/new.py", False),  # its room is a dependency
        ("src/latent_digits/training/__pycache__/loop.pyc", True),
        ("src/latent_digits/search/sampler.py", True),
        ("stages/train_vae.py", False),
        ("src/latent_digits/console.py", True),
        ("stages/train_ae.py", True),
    ],
)
def test_state_of_other_code_is_never_used(project: Path, file: str, used: bool) -> None:
    slot().save({}, {})
    (project / file).parent.mkdir(exist_ok=True)
    with (project / file).open("a") as code:
        code.write("# changed\n")
    assert (slot().load() is not None) == used


@pytest.mark.parametrize("harm", ["cut", "emptied", "flipped"])
def test_a_damaged_file_is_said_kept_and_not_used(
    harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    slot().save(checkpoint(1).arrays, {"a": 1})
    content = bytearray(slot().path.read_bytes())
    content[-1] ^= 1
    damaged = {"cut": content[:-9], "emptied": b"", "flipped": content}[harm]
    slot().path.write_bytes(damaged)
    assert slot().load() is None
    said = capsys.readouterr().err
    assert "train_vae vae: damaged file set aside as .resume/train_vae/vae.damaged (" in said
    assert said.count("\n") == 1
    assert Path(".resume/train_vae/vae.damaged").read_bytes() == damaged
    assert slot().load() is None
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_a_sentence_and_keeps_the_last_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    slot().save({}, {"a": 1})
    monkeypatch.setattr(storage.Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"vae\.safetensors cannot be written: no space left"):
        slot().save({}, {"a": 2})
    assert slot().load() == ({}, {"a": 1})
    assert [path.name for path in slot().path.parent.iterdir()] == ["vae.safetensors"]


def test_state_of_no_use_is_cleared() -> None:
    with ResumeCache("tune") as cache:
        for name in ("trial-0", "trial-1", "trial-1-epochs"):
            cache.slot(name).save({}, {})
        cache.keep_only("trial-0")
        assert {path.name for path in cache.folder.iterdir()} == {"lock", "trial-0.safetensors"}


def test_a_stage_waits_for_a_process_that_outlived_its_dvc_repro(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take_over() -> None:
        with ResumeCache("train_vae", 1) as cache:
            found.append(cache.slot("vae").load())

    found: list[Any] = []
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(resume_cache, "say", said.put)
    waiting = threading.Thread(target=take_over)
    with ResumeCache("train_vae", 1) as cache:
        waiting.start()
        assert "another process works on this stage" in said.get(timeout=60)
        cache.slot("vae").save({}, {"a": 1})
        assert found == []
    waiting.join()
    assert found == [({}, {"a": 1})]
    assert said.empty()


def test_fingerprints_tell_inputs_apart() -> None:
    whole = np.arange(4, dtype=np.int64)
    inputs = [1, 1.5, "1", None, (1, 2), [[1, 2]], {"a": 1}, {"a": 2}, RECIPE, fingerprint, whole]
    inputs += [whole.reshape(2, 2), whole.astype(np.float64), {"a": whole}, {"a": whole + 1}]
    assert len({fingerprint(one) for one in inputs}) == len(inputs)
    assert fingerprint(Recipe(**vars(RECIPE)), whole.copy()) == fingerprint(RECIPE, whole)
    with pytest.raises(TypeError, match="no fingerprint of a set"):
        fingerprint({1})

"""Files are whole or absent, equal content is equal bytes, and unfit files are a sentence."""

from pathlib import Path

import numpy as np
import pytest

from latent_digits.console import UserError, duration
from latent_digits.data.storage import (
    atomic,
    read_csv,
    read_json,
    read_tensors,
    write_csv,
    write_json,
    write_tensors,
)
from latent_digits.seeds import seed_for


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic(path) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_tensors_repeat_to_the_byte_and_come_back(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6.0).reshape(2, 3).T, "a": np.zeros(0, dtype=np.int64)}
    about = {"z": 1, "a": "text", "k": None}
    for name in ("one", "two"):
        write_tensors(tmp_path / name, arrays, about)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found, described = read_tensors(tmp_path / "one")
    np.testing.assert_array_equal(found["b"], arrays["b"])
    assert found["a"].shape == (0,)
    assert described == about


def test_csv_round_trip_is_exact(tmp_path: Path) -> None:
    rows = [{"a": 0.1 + 0.2, "b": None, "c": "adam"}, {"a": 1e-300, "b": 2.0, "c": "sgd"}]
    write_csv(tmp_path / "t.csv", ["a", "b", "c"], rows)
    assert read_csv(tmp_path / "t.csv") == rows


def test_nan_never_reaches_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"a": float("nan")})
    assert not (tmp_path / "m.json").exists()


@pytest.mark.parametrize("read", [read_json, read_csv, read_tensors])
def test_a_missing_file_is_a_sentence(tmp_path: Path, read) -> None:
    with pytest.raises(UserError, match="is missing; `dvc repro` makes it again"):
        read(tmp_path / "none")


@pytest.mark.parametrize(("read", "kind"), [(read_json, "JSON"), (read_tensors, "safetensors")])
def test_an_unreadable_file_is_a_sentence(tmp_path: Path, read, kind: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(b"\x80\x04not what it says")
    with pytest.raises(UserError, match=f"bad is no readable {kind} file"):
        read(path)


def test_seeds_differ_by_position_and_repeat() -> None:
    assert seed_for(1, "a", 2) == seed_for(1, "a", 2)
    seeds = {seed_for(1, "a", n) for n in range(1000)} | {seed_for(2, "a", 0)}
    assert len(seeds) == 1001
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (3720, "1 h 2 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

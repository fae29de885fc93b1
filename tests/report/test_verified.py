"""The record of `make verify`: its own form passes, and a damaged one is a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from latent_digits.console import UserError
from latent_digits.report.verified import Verified, read_verified
from smoke import PROJECT

ENTRY: dict[str, Any] = {
    "date": "2026-11-26",
    "commit": "6b36e13 with changes",
    "seconds": 9.6,
    "machine": {"processor": "AMD EPYC", "logical_cores": 2, "memory_gib": 8},
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
    "outputs": {"data/split/val.safetensors": "0" * 32, "reports/figures": f"{'1' * 32}.dir"},
    "different": ["reports/figures"],
}


def test_the_committed_record_can_be_read() -> None:
    read_verified(PROJECT / "reports/verified.json")


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "verified.json"
    path.write_text(json.dumps({"stages": {"prepare": ENTRY, "plot": ENTRY | {"seconds": None}}}))
    found = read_verified(path)
    assert found == Verified.model_validate(json.loads(path.read_text()))
    assert found.stages["prepare"].seconds == 9.6
    assert found.stages["plot"].seconds is None
    assert found.model_dump()["stages"]["prepare"] == ENTRY


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", r"\(all of it: Invalid JSON"),
        ("<<<<<<< HEAD", r"\(all of it: Invalid JSON"),
        ("[]", r"\(all of it: Input should be an object"),
        ('{"stages": {"plot": {}}}', r"\(stages.plot.date: Field required\)"),
        (json.dumps({"stages": {"plot": ENTRY | {"host": "x"}}}), r"plot\.host: Extra inputs"),
        (json.dumps({"stages": {"plot": ENTRY | {"seconds": -1}}}), r"plot\.seconds: "),
        (json.dumps({"stages": {"plot": ENTRY | {"commit": "main"}}}), r"plot\.commit: "),
    ],
)
def test_a_damaged_record_is_a_sentence(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "verified.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"not as `make verify` writes it .*{said}"):
        read_verified(path)


def test_a_missing_record_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"verified\.json is missing; `git checkout"):
        read_verified(tmp_path / "verified.json")

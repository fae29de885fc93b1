"""What a plain scalar means is what it means to DVC, or it is text."""

from typing import Any

import pytest
import yaml
from dvc.utils.serialize import parse_yaml

from latent_digits.project.yaml_files import is_number, parse
from smoke import PROJECT

VALUES: dict[str, Any] = {
    "1e-05": 1e-5,
    "1E5": 1e5,
    "-2.5e+3": -2500.0,
    ".5": 0.5,
    "1.": 1.0,
    ".inf": float("inf"),
    "0": 0,
    "+5": 5,
    "true": True,
    "": None,
    "~": None,
    "[1, 1e-3]": [1, 1e-3],
    "{a: 1}": {"a": 1},
    "'1e-05'": "1e-05",
    "60:30": "60:30",
    "yes": "yes",
    "1e": "1e",
}


@pytest.mark.parametrize("text", VALUES)
def test_a_value_is_what_dvc_reads(text: str) -> None:
    assert parse(f"key: {text}")["key"] == VALUES[text] == parse_yaml(f"key: {text}", "")["key"]


@pytest.mark.parametrize("text", ["010", "0x10", "0b1", "1_000", "2021-06-22", "9" * 5000])
def test_what_readers_disagree_on_is_text(text: str) -> None:
    assert parse(f"key: {text}") == {"key": text}
    assert not is_number(text)


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "dvc.lock"])
def test_the_project_as_dvc_reads_it(name: str) -> None:
    text = (PROJECT / name).read_text()
    assert parse(text) == parse_yaml(text, name)


@pytest.mark.parametrize("text", ["a: 1\na: 1\n", "a: {b: 1, b: 2}", "[{a: 1, 'a': 2}]"])
def test_a_key_stands_once(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"^[ab] stands there twice, again in line [12]$"):
        parse(text)

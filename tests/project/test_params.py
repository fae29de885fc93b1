"""`params.yaml` as committed is valid, and every kind of fault is one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from latent_digits.console import UserError
from latent_digits.project import params
from latent_digits.project.params import load_params
from smoke import BUDGETS, PROJECT, merged

STRONG = {"salt_pepper": 0.25}
COMMITTED = PROJECT / "params.yaml"


def faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_params(path)
    return str(error.value).replace(str(path), "params.yaml").splitlines()


def changed(changes: dict[str, Any]) -> str:
    return yaml.safe_dump(merged(yaml.safe_load(COMMITTED.read_text()), changes))


def test_the_committed_file_is_valid_and_comes_back_as_written() -> None:
    assert load_params(COMMITTED).model_dump() == yaml.safe_load(COMMITTED.read_text())


def test_no_model_has_a_default() -> None:
    models = [
        value
        for value in vars(params).values()
        if isinstance(value, type) and issubclass(value, BaseModel)
    ]
    fields = [field for model in models for field in model.model_fields.values()]
    assert fields
    assert all(field.is_required() for field in fields)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tune": {"trials": -1}}, "tune.trials is -1; it should be greater than or equal to 0."),
        ({"tune": {"trials": True}}, "tune.trials is True; it should be a valid integer."),
        ({"plot": {"dpi": "high"}}, "plot.dpi is 'high'; it should be a valid integer."),
        (
            {"finetune": {"head": {"lr": "5.0e-3"}}},
            "finetune.head.lr is '5.0e-3'; it should be a valid number. In quotes it is text: "
            "drop them.",
        ),
        (
            {"train_ae": {"ae": {"dropuot": 0.1}}},
            "train_ae.ae.dropuot is 0.1, but no stage knows this key; correct or remove it.",
        ),
        ({"evaluate": {"active_unit_variance": float("nan")}}, "it should be a finite number."),
        (
            {"tune": {"space": {"dropout": {"low": 0.5, "high": 0.1}}}},
            "tune.space.dropout: the range is empty: low 0.5 is above high 0.1.",
        ),
        (
            {"tune": {"trials": "100"}},
            "tune.trials is '100'; it should be a valid integer. In quotes it is text: drop them.",
        ),
        (
            {"tracking": {"required": "true"}},
            "tracking.required is 'true'; it should be true or false.",
        ),
        ({"train_ae": {"ae_2d": {"latent_dim": 2.0}}}, "latent_dim is 2.0; it should be a valid i"),
        ({"plot": {2: 2}}, "plot.2 is 2; it should have a name for its key."),
        ({"a\nb": 1}, "a b is 1, but no stage knows this key; correct or remove it."),
        ({"plot": 5}, "plot is 5; it should be a section of keys and values."),
        (
            {"tune": {"space": {"optimizer": []}}},
            "tune.space.optimizer is []; it should name at least 1.",
        ),
        (
            {"tune": {"trials": 10**299}},
            f"tune.trials is 1{39 * '0'}… (300 characters); it should be less than or equal to "
            "100000.",
        ),
        (
            {"fabric": {"accelerator": "g" * 5000}},
            f"fabric.accelerator is '{39 * 'g'}… (5002 characters); it should be",
        ),
        ({"tune": {"space": {"optimizer": ["adamw"]}}}, "it should be 'adam' or 'sgd'."),
        (
            {"prepare": {"dataset": "cifar10"}},
            "prepare.dataset: cifar10 is none of mnist, fashion_mnist, kmnist, and no folder in "
            "data/own, where DVC notices when images change.",
        ),
        ({"prepare": {"dataset": "data/own/../split"}}, "data/own/../split is none of mnist,"),
        ({"prepare": {"dataset": "data/own"}}, "data/own is none of mnist,"),
        (
            {"tune": {"space": {"channels": [[8, 16]]}}},
            "tune.space.channels.0 is [8, 16]; it should name at least 3",
        ),
        (
            {"tune": {"report_hyperparameters": {"units": 32}}},
            "tune.report_hyperparameters.units is 32; the search starts there, so it should be in "
            "tune.space.units ([64]).",
        ),
        ({"train_vae": {"beta": 0.0}}, "train_vae.beta is 0.0; it should be greater than 0."),
    ],
)
def test_a_wrong_value_is_one_line(tmp_path: Path, changes: dict, expected: str) -> None:
    (line,) = faults(tmp_path, changed(changes))
    assert line.startswith("params.yaml: ")
    assert expected in line


SMALL = {
    "prepare": {"train": 150, "val": 100},
    "tune": {"space": {"batch_size": [64]}, "report_hyperparameters": {"batch_size": 64}},
    "train_vae": {"vae_2d": {"batch_size": 64}},
    "finetune": {"labels": [100, 149]},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train_ae": {"ae_2d": {"latent_dim": 3}}}, "train_ae.ae_2d.latent_dim is 3; it should"),
        ({"train_vae": {"vae_2d": {"latent_dim": 3}}}, "train_vae.vae_2d.latent_dim is 3; it shou"),
        ({"train_ae": {"ae_2d": {"dropout": 1.0}}}, "train_ae.ae_2d.dropout is 1.0; it should be"),
        (
            {"noise": {"as_described": {"salt_pepper": 1.0}}},
            "noise.as_described.salt_pepper is 1.0; it should be",
        ),
        (
            {"prepare": {"val": 500}, "evaluate": {"tsne_perplexity": 500}},
            "evaluate.tsne_perplexity is 500; it should be at most 499 (one less than prepare.val)",
        ),
        (
            {"evaluate": {"noise_strengths": [1.0, 8.0]}, "noise": {"as_described": STRONG}},
            "evaluate.noise_strengths × noise.as_described.salt_pepper is 2.0; it should be at "
            "most 1 (all pixels)",
        ),
        ({"tune": {"pruning_warmup": 11}}, "tune.pruning_warmup is 11; it should be at most 10 (t"),
        (
            {"tune": {"space": {"optimizer": ["sgd"]}}},
            "tune.report_hyperparameters.optimizer is adam; the search starts there, so it "
            "should be in tune.space.optimizer (['sgd']).",
        ),
        (
            {"tune": {"report_hyperparameters": {"lr": 0.5}}},
            "tune.report_hyperparameters.lr is 0.5; the search starts there, so it should be in "
            "tune.space.lr (1e-05 to 0.01).",
        ),
        (
            {"tune": {"report_hyperparameters": {"latent_dim": 51}}},
            "tune.report_hyperparameters.latent_dim is 51; ",
        ),
        (
            {"tune": {"report_hyperparameters": {"batch_size": 32}}},
            "tune.report_hyperparameters.batch_size is 32; ",
        ),
        (
            {"tune": {"space": {"dropout": {"high": 1e-3}}}},
            "tune.report_hyperparameters.dropout is 0.00119",
        ),
        ({"tune": {"space": {"latent_dim": {"low": 1}}}}, "tune.space.latent_dim.low is 1; it sho"),
        (
            {"tune": {"space": {"batch_size": [64, 128, 64]}}},
            "tune.space.batch_size: 64 stands there twice; name each choice once.",
        ),
        (
            merged(SMALL, {"tune": {"space": {"latent_dim": {"high": 151}}}}),
            "tune.space.latent_dim.high is 151; it should be at most 150 (prepare.train).",
        ),
        (
            merged(SMALL, {"finetune": {"labels": [100, 150]}}),
            "finetune.labels is 150; it should be at most 149 (one less than prepare.train: all ",
        ),
        ({"finetune": {"labels": [99]}}, "finetune.labels.0 is 99; it should be greater than or "),
        ({"train_ae": {"latent_dims": [2]}}, "train_ae.latent_dims.0 is 2; it should be greater"),
        ({"train_ae": {"latent_dims": [4, 8, 4]}}, "train_ae.latent_dims: 4 stands there twice; n"),
        (
            merged(SMALL, {"finetune": {"head": {"batch_size": 151}}}),
            "finetune.head.batch_size is 151; it should be at most 150 (prepare.train).",
        ),
        (
            merged(SMALL, {"tune": {"space": {"batch_size": [64, 151]}}}),
            "tune.space.batch_size is 151; it should be at most 150 (prepare.train).",
        ),
        (
            {"fabric": {"devices": 33, "num_nodes": 2}},
            "fabric.devices × fabric.num_nodes is 66; it should be at most 64 (",
        ),
    ],
)
def test_what_would_fail_in_a_later_stage_is_one_line(
    tmp_path: Path, changes: dict, expected: str
) -> None:
    (line,) = faults(tmp_path, changed(changes))
    assert line.startswith(f"params.yaml: {expected}")


@pytest.mark.parametrize(
    "changes",
    [
        SMALL,
        BUDGETS,
        {"prepare": {"val": 500}, "evaluate": {"tsne_perplexity": 499}},
        {"prepare": {"test": 9_990}},
        {"prepare": {"stratify": False, "test": 9_991, "val": 200}},
        {"tune": {"pruning_warmup": 10}},
        {"tune": {"trials": 0, "report_hyperparameters": {"latent_dim": 64, "batch_size": 32}}},
        {"tune": {"space": {"lr": {"low": 5.41e-3, "high": 5.41e-3}}}},
        {"fabric": {"devices": 32, "num_nodes": 2}},
    ],
)
def test_what_goes_together_is_taken(tmp_path: Path, changes: dict) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(changed(changes))
    load_params(path)


def test_each_fault_has_a_line(tmp_path: Path) -> None:
    lines = faults(tmp_path, changed({"seed": -1, "plot": {"dpi": 1}}))
    assert [line.split()[1] for line in lines] == ["seed", "plot.dpi"]
    smaller = {"prepare": {"train": 200}, "evaluate": {"tsne_perplexity": 20}}
    smaller["finetune"] = {"labels": [100]}
    lines = faults(tmp_path, changed(merged(smaller, {"prepare": {"val": 20}})))
    assert [line.split()[1] for line in lines] == [
        "tune.space.batch_size",
        "evaluate.tsne_perplexity",
    ]


def test_a_missing_section(tmp_path: Path) -> None:
    values = yaml.safe_load(COMMITTED.read_text())
    del values["noise"]
    (line,) = faults(tmp_path, yaml.safe_dump(values))
    assert line.startswith("params.yaml: noise is missing;")


@pytest.mark.parametrize(
    "text", ["seed: [", "", "- a list\n", "\x00", "? [seed]\n: 1\n", "!!int a", 9999 * "["]
)
def test_what_is_no_mapping_at_all(tmp_path: Path, text: str) -> None:
    (line,) = faults(tmp_path, text)
    assert line.startswith("params.yaml")


def test_a_value_as_dvc_writes_it(tmp_path: Path) -> None:
    """`dvc exp run -S finetune.head.lr=1.0e-5` writes 1e-05."""
    path = tmp_path / "params.yaml"
    text = yaml.safe_dump(yaml.safe_load(COMMITTED.read_text()))
    path.write_text(text.replace("lr: 0.005", "lr: 1e-05", 1))
    assert load_params(path).finetune.head.lr == 1e-5


@pytest.mark.parametrize(
    ("once", "twice"), [("plot:\n", "plot: {}\nplot:\n"), ("  val: 12000\n", 2 * "  val: 12000\n")]
)
def test_what_stands_there_twice(tmp_path: Path, once: str, twice: str) -> None:
    text = COMMITTED.read_text()
    (line,) = faults(tmp_path, text.replace(once, twice))
    key, number = once.split(":")[0].strip(), text[: text.index(once)].count("\n") + 2
    assert line.startswith("params.yaml is no readable YAML file: ")
    assert line.endswith(f"{key} stands there twice, again in line {number}")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing here; run from"):
        load_params(tmp_path / "params.yaml")

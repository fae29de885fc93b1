"""The checklist says of each stage what was found, and whether of the results at hand."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latent_digits.project.provenance import read_study
from latent_digits.report.checklist import MAKERS, STAGES, checklist, checklist_values, verified
from latent_digits.report.document import unmarked
from latent_digits.report.inputs import Inputs, all_values
from latent_digits.report.tables import tables
from latent_digits.report.values import Values
from latent_digits.report.verified import Verified
from reported import inputs as inputs_of
from smoke import PROJECT

VAL = "data/split/val.safetensors"
MACHINE: dict[str, Any] = {"processor": "AMD EPYC", "logical_cores": 2, "memory_gib": 8}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """The committed results, and a digest of the validation set, which need not be here."""
    found = inputs_of(tmp_path_factory.mktemp("mnist"))
    results = {path: md5 for path, md5 in found.digests.items() if path.startswith("reports/")}
    return replace(found, digests={**results, VAL: "0" * 32})


def record(inputs: Inputs, changes: dict[str, Any] | None = None) -> Inputs:
    """The same with a record of all stages, of these results; `changes` are by stage."""
    stages: dict[str, Any] = {
        stage: {
            "date": "2026-11-26",
            "commit": "6b36e13",
            "seconds": 100.4,
            "machine": MACHINE,
            "versions": {"python": "3.11.7", "torch": "2.15.0"},
            "outputs": {
                "data/unread": "1" * 32,
                **{path: md5 for path, md5 in inputs.digests.items() if MAKERS.get(path) == stage},
            },
            "different": [],
        }
        | (changes or {}).get(stage, {})
        for stage in STAGES
    }
    return replace(inputs, verified=Verified.model_validate({"stages": stages}))


def rows(inputs: Inputs) -> dict[str, list[str]]:
    """The table of the record, by stage."""
    lines = unmarked(verified(Values(checklist_values(inputs)))).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: others for first, *others in cells}


def answers(inputs: Inputs) -> dict[str, str]:
    values = Values([*all_values(inputs), *checklist_values(inputs)])
    found = unmarked(
        checklist(inputs.dataset.name, values, {"table 1": tables(inputs, values)["results"]})
    )
    lines = [line.strip("| ").split(" | ") for line in found.splitlines()[2:]]
    return {item: answer.replace("\u00a0", " ") for item, answer in lines}


def test_stages_and_makers_are_those_of_the_pipeline() -> None:
    study = read_study(PROJECT)
    assert tuple(study.stages) == STAGES
    read = {path for path in study.dependencies("plot") if path in study.makers}
    assert {path: study.makers[path] for path in read} == {path: MAKERS[path] for path in read}


def test_nothing_verified_yet_is_said(inputs: Inputs) -> None:
    nothing = replace(inputs, verified=Verified())
    assert rows(nothing) == {stage: ["not made again", *"––––"] for stage in STAGES}
    found = answers(nothing)
    assert found["Machine"] == found["Versions"] == "not recorded yet"
    assert found["Time of all stages"] == "not recorded of these results as a whole"


def test_a_record_of_these_results(inputs: Inputs) -> None:
    found = rows(record(inputs))
    assert found["prepare"] == ["2026-11-26", "6b36e13", "100", "all 2", "yes"]
    assert {row[-1] for stage, row in found.items() if stage != "plot"} == {"yes"}
    assert found["plot"][-1] == "–"  # no page holds its own digest
    assert answers(record(inputs))["Machine"] == "AMD EPYC, 2 logical cores, 8 GiB of memory"
    assert answers(record(inputs))["Versions"] == "python 3.11.7, torch 2.15.0"
    assert answers(record(inputs))["Time of all stages"] == "13 min 23 s"


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        (VAL, "prepare"),
        ("reports/trials.csv", "tune"),
        ("reports/histories/ae_2d.csv", "train_ae"),
        ("reports/histories/latents", "train_ae"),
        ("reports/claims.json", "evaluate"),
    ],
)
def test_another_digest_turns_one_line_over(inputs: Inputs, path: str, stage: str) -> None:
    before = record(inputs)
    after = replace(before, digests={**before.digests, path: "f" * 32})
    one, other = rows(before), rows(after)
    assert {name for name in one if one[name] != other[name]} == {stage}
    assert other[stage] == [*one[stage][:-1], "no, of other results"]


def test_the_time_of_all_is_that_of_one_making_of_these_results(inputs: Inputs) -> None:
    name, unknown = "Time of all stages", "not recorded of these results as a whole"
    assert answers(record(inputs))[name] != unknown
    other_commit = record(inputs, {"tune": {"commit": "0123456"}})
    other_machine = record(inputs, {"tune": {"machine": MACHINE | {"logical_cores": 4}}})
    whole = record(inputs)
    other_results = replace(whole, digests={**whole.digests, VAL: "f" * 32})
    for one in (other_commit, other_machine, other_results):
        assert answers(one)[name] == unknown


def test_a_result_that_the_record_does_not_know_turns_it_over_too(inputs: Inputs) -> None:
    known = record(inputs).verified.stages["train_vae"].outputs
    fewer = {k: v for k, v in known.items() if not k.endswith("vae_2d.csv")}
    found = rows(record(inputs, {"train_vae": {"outputs": fewer}}))
    assert found["train_vae"][-1] == "no, of other results"


def test_outputs_that_were_different_are_named(inputs: Inputs) -> None:
    different = ["reports/claims.json", "reports/evaluation.json", "data/unread"]
    found = rows(record(inputs, {"evaluate": {"different": different}, "tune": {"seconds": None}}))
    assert found["evaluate"][3] == (
        "0 of 3; not reports/claims.json, reports/evaluation.json and 1 more"
    )
    assert found["tune"][2] == "–"  # a kill fell into it
    interrupted = record(inputs, {"tune": {"seconds": None}})
    assert answers(interrupted)["Time of all stages"] == "not recorded of these results as a whole"


def test_machines_and_versions_of_some_stages_name_these(inputs: Inputs) -> None:
    changes = {
        "plot": {
            "machine": MACHINE | {"logical_cores": 4},
            "versions": {"python": "3.11.7", "torch": "2.16.0"},
        }
    }
    found = answers(record(inputs, changes))
    others = ", ".join(STAGES[:-1])
    assert found["Machine"] == (
        f"AMD EPYC, 2 logical cores, 8 GiB of memory ({others}); "
        "AMD EPYC, 4 logical cores, 8 GiB of memory (plot)"
    )
    assert found["Versions"] == (f"python 3.11.7, torch 2.15.0 ({others}); 2.16.0 (plot)")


def test_each_answer_is_computed_and_has_its_source(inputs: Inputs) -> None:
    few = replace(inputs, trials=inputs.trials[:2], histories={"ae": inputs.histories["ae"]})
    values = Values(checklist_values(record(few)))
    epochs = sum(int(row["epochs"]) for row in inputs.trials[:2])
    assert values["trained.search_epochs"].raw == epochs
    assert values["trained.here"].raw == 1
    assert values["trained.epochs"].raw == len(inputs.histories["ae"])
    seeds = len(inputs.replicas["rows"])
    assert values["trained.replicas"].raw == 8 * seeds
    row = {"details": {"ae.test_mse": 1.0, "ae.val_mse": 1.0, "latents/4.test_mse": 1.0}}
    row["details"]["pca.test_mse"] = 1.0
    of_one = replace(inputs, replicas={"rows": {"1": row}})
    assert Values(checklist_values(of_one))["trained.replicas"].raw == 2
    assert values["trained.ablation"].raw == len(inputs.ablation["rows"])
    one = values["verified.tune.seconds"]
    assert one.source.command == "make verify"
    assert one.source.digest == inputs.digests["reports/verified.json"]
    assert one.entry == "stages.tune.seconds"


def test_each_table_names_what_makes_it_again(inputs: Inputs) -> None:
    found = answers(inputs)["Commands"]
    assert re.findall(r"`([\w ]+)` table 1", found) == ["dvc repro evaluate", "make replicas"]
    assert answers(inputs)["Seeds"].count(str(inputs.params["seed"])) == 3


def test_without_records_the_answers_say_so(tmp_path: Path) -> None:
    found = answers(inputs_of(tmp_path, "letters", "abc", records=False))
    assert found["Data"].startswith("letters: 48 000 images for training")
    assert found["Trainings"].endswith("of which the best on validation are kept")
    assert found["Error bars"].endswith("over seeds: not known, see `make replicas`")
    assert "make replicas` table" not in found["Commands"]


def test_trainings_without_an_epoch_are_none(tmp_path: Path) -> None:
    values = Values(checklist_values(inputs_of(tmp_path, "faces", ())))
    assert values["trained.here"].raw == 5 + 4  # models without a classifier, and other Z

"""From a file, a run or a model to the others, and what `--verify` says."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latent_digits.console import UserError
from latent_digits.project.provenance import md5
from latent_digits.tracking.stage_run import stage_run
from toy import toy_project

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, data_base: Callable[[Path], str]) -> Any:
    """A toy study of two stages that ran."""
    folder = toy_project(tmp_path_factory.mktemp("lineage"))
    pipeline = (folder / "dvc.yaml").read_text()
    outs = "outs: [data/model.txt, data/series]"
    (folder / "dvc.yaml").write_text(pipeline.replace("outs: [data/model.txt]", outs))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", data_base(folder / "mlflow.db"))
        (folder / "data").mkdir()
        (folder / "data/split.txt").write_text("split")
        with stage_run("prepare", {"seed": 1}):
            pass
        (folder / "data/model.txt").write_text("model")
        (folder / "data/series").mkdir()
        (folder / "data/series/1.txt").write_text("member")
        with stage_run("finetune", {"lr": 0.1}):
            pass
        yield folder


def lineage(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: str) -> str:
    """What the command prints."""
    from latent_digits.commands.lineage import main

    monkeypatch.setattr(sys, "argv", ["lineage", *arguments])
    main()
    return capsys.readouterr().out


def test_a_file_leads_to_its_run_and_back(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    text = lineage(monkeypatch, capsys, "data/model.txt")
    lines = [line.split() for line in text.splitlines()]
    facts = {line[0]: line[1:] for line in lines}
    assert lines[0] == ["finetune"]
    assert facts["study"][1:] == ["no", "commit"]
    assert facts["commit"] == ["none"]
    assert facts["params"] == ["lr", "=", "0.1"]
    assert facts["files"] == ["1", "read,", "2", "written;", "--files", "lists", "them"]
    assert lineage(monkeypatch, capsys, "data/series/1.txt") == text  # in a folder that it wrote
    assert lineage(monkeypatch, capsys, f"{linked(project)}") == text
    assert lineage(monkeypatch, capsys, facts["run"][0]) == text
    whole = lineage(monkeypatch, capsys, facts["study"][0])
    assert [line for line in whole.splitlines() if line[0] != " "] == ["prepare", "finetune"]
    assert text in whole


def linked(project: Path) -> Path:
    """The model as a link into a cache, as DVC may be told to keep it."""
    file, cached = project / "data/model.txt", project.parent / f"{project.name}-cached"
    file.rename(cached)
    file.symlink_to(cached)
    return file


def test_digests_are_listed_only_when_asked_for(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    short = lineage(monkeypatch, capsys, "data/model.txt")
    assert len(short.splitlines()) <= 8
    assert md5(b"split") not in short
    lines = lineage(monkeypatch, capsys, "data/model.txt", "--files").splitlines()
    assert [line.split() for line in lines[-4:-1]] == [
        ["param", "lr", "=", "0.1"],
        ["read", md5(b"split"), "data/split.txt"],
        ["wrote", md5(b"model"), "data/model.txt"],
    ]
    assert lines[-1].split()[2] == "data/series"


def test_help_explains_every_line(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        lineage(monkeypatch, capsys, "-h")
    assert not ended.value.code
    text = capsys.readouterr().out
    for word in ("stage ", "run ", "study ", "commit ", "data ", "params ", "models ", "files "):
        assert f"\n  {word}" in text
    assert "$ python -m latent_digits.commands.lineage data/models/ae.safetensors" in text


def test_a_line_has_as_many_parameters_as_fit() -> None:
    from latent_digits.tracking.mlflow.lineage import ROOM, fitting

    assert fitting(["lr = 0.1", "seed = 1"]) == "lr = 0.1, seed = 1"
    line = fitting([f"parameter_{number} = {number}" for number in range(20)])
    assert line.startswith("parameter_0 = 0, parameter_1 = 1")
    assert line.endswith(" and 16 more")
    assert len(line) <= ROOM


def test_a_run_of_an_earlier_version_has_its_digests_in_tags(project: Any) -> None:
    from latent_digits.tracking.mlflow.digests import digests_of
    from latent_digits.tracking.mlflow.server import connect

    client = connect()
    tags = {"dep.data/split.txt": "a", "out.data/model.txt": "b"}
    run = client.create_run(client.create_experiment("earlier"), tags=tags)
    assert digests_of(client, run) == {
        "read": {"data/split.txt": "a"},
        "wrote": {"data/model.txt": "b"},
    }


def test_verify_says_which_bytes_differ(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        lineage(monkeypatch, capsys, "data/model.txt", "--verify")
    assert not ended.value.code
    run = capsys.readouterr().out.split("run ")[1].split()[0]
    (project / "data/split.txt").write_text("another")
    try:
        with pytest.raises(SystemExit) as ended:
            lineage(monkeypatch, capsys, run, "--verify")
    finally:
        (project / "data/split.txt").write_text("split")
    assert ended.value.code == 1
    *_, fault, count = capsys.readouterr().out.splitlines()
    assert fault.startswith(f"data/split.txt is {md5(b'another')} here; the run has ")
    assert count == "verified: 1 do not match"


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        ("nothing.txt", "nothing.txt is no file here, no run's id .* and no model's address"),
        ("models:/x", "models:/x is not of the form models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/x@champion", "cannot say: .*x not found"),
        ("0" * 32, "cannot say: .*not found"),
        (__file__, r"no run at .* wrote \.\./.*/test_lineage.py as it is now"),
        ("data/series/2.txt", "2.txt is not here; `dvc pull` fetches it where a DVC remote has it"),
        ("params.yaml", r"no run at .* wrote params.yaml as it is now \(md5 \w+\)"),
    ],
)
def test_what_leads_nowhere_is_a_sentence(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, thing: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        lineage(monkeypatch, capsys, thing)

"""Digests as DVC has them, and what makes a version of the study."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from latent_digits.commands import verify
from latent_digits.console import UserError
from latent_digits.project import provenance
from latent_digits.project.provenance import digest, locked, read_study
from smoke import PROJECT, dvc
from toy import PARAMS, toy_project


def test_digests_are_those_of_dvc_lock() -> None:
    """Of a folder too: the generated report and its figures are in git as DVC left them."""
    study = read_study(PROJECT)
    expected = locked(study.lock["plot"], "outs")
    assert study.digests(study.outputs("plot")) == expected
    assert expected["reports/figures"].endswith(".dir")


def test_the_digest_of_a_room_is_what_dvc_writes(tmp_path: Path) -> None:
    """In the same order of files, and without what Python and Numba have compiled."""
    room = tmp_path / "room"
    for name in ("a.py", "a-b.py", "B.py", "a/c.py", "a/__pycache__/c.pyc", "__pycache__/k.nbi"):
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_text(name)
    pipeline = {"stages": {"one": {"cmd": "echo done > out", "deps": ["room"], "outs": ["out"]}}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    shutil.copy(PROJECT / ".dvcignore", tmp_path)
    dvc(tmp_path, "init", "--no-scm")
    done = dvc(tmp_path, "repro")
    assert done.returncode == 0, done.stdout
    study = read_study(tmp_path)
    assert study.sources == locked(study.lock["one"], "deps")
    (room / "a/__pycache__/c.pyc").write_text("compiled again")
    assert digest(room) == study.sources["room"]
    (room / "a/c.py").write_text("edited")
    assert digest(room) != study.sources["room"]


def test_parameters_read_as_dvc_reads_them() -> None:
    """DVC writes 1e-05, which YAML 1.1 calls text."""
    study = read_study(PROJECT)
    for stage in study.stages:
        assert study.lock[stage]["params"]["params.yaml"] == study.parameters(stage)


@pytest.mark.parametrize(
    ("file", "text", "is_new"),
    [
        ("params.yaml", yaml.safe_dump(PARAMS | {"plot": {"dpi": 1}}), True),
        ("params.yaml", yaml.safe_dump(PARAMS | {"tracking": {"required": True}}), False),
        ("code.txt", "version 2", True),
        ("data/model.txt", "an output", False),
    ],
)
def test_a_version_is_what_the_outputs_follow_from(
    tmp_path: Path, file: str, text: str, is_new: bool
) -> None:
    project = toy_project(tmp_path)
    before = read_study(project).fingerprint
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text(text)
    assert (read_study(project).fingerprint != before) == is_new


def test_made_follows_the_lock_from_stage_to_stage(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    lock = {
        "prepare": entry("prepare", {}, {"seed": 1}, {"data/split.txt": "s"}),
        "finetune": entry(
            "finetune",
            {"data/split.txt": "s"},
            {"seed": 1, "finetune": {"lr": 0.1}},
            {"data/model.txt": "m"},
        ),
        "evaluate": entry(
            "evaluate",
            {"data/model.txt": "m", "code.txt": "another"},
            {"seed": 1},
            {"reports/metrics.json": "j"},
        ),
    }
    (project / "dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    study = read_study(project)
    assert study.made({}) == {
        "prepare": {"data/split.txt": "s"},
        "finetune": {"data/model.txt": "m"},
    }
    assert set(study.made({"prepare": {"data/split.txt": "new"}})) == {"prepare"}


def entry(stage: str, deps: dict, params: dict, outs: dict) -> dict:
    return {
        "cmd": f"python toy.py {stage}",
        "deps": [{"path": path, "md5": md5} for path, md5 in deps.items()],
        "params": {"params.yaml": params},
        "outs": [{"path": path, "md5": md5} for path, md5 in outs.items()],
    }


def test_a_tree_is_dirty_by_anything_but_outputs(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    assert read_study(project).commit == ("", False)
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    commit, dirty = read_study(project).commit
    assert len(commit) == 40
    assert not dirty
    (project / "data").mkdir()
    (project / "data/model.txt").write_text("an output")
    (project / "dvc.lock").write_text("stages:")
    assert read_study(project).commit == (commit, False)
    (project / "code.txt").write_text("version 2")
    assert read_study(project).commit == (commit, True)


def test_what_git_refuses_is_said_and_not_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(provenance, "say_once", said.append)
    project = toy_project(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    assert read_study(project).commit == ("", True)  # no commit yet
    assert not said
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert read_study(project).commit == ("", True)
    (line,) = said
    assert f"git cannot read {project} (fatal: detected dubious ownership" in line
    assert "logged without a commit" in line
    refused, instead, *_ = verify.compared_with(read_study(project))
    assert "dubious ownership" in refused
    assert "compared with the dvc.lock that lies here" in instead


def test_another_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"dvc\.yaml is not in .*; run from the project's top folder"
    ):
        read_study(tmp_path)


def test_a_file_that_is_no_yaml_is_a_sentence(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    (project / "dvc.lock").write_text("stages: {}\nstages: {}\n")
    with pytest.raises(
        UserError, match=r"dvc\.lock is no readable YAML file: stages stands there twice"
    ):
        read_study(project)


def test_the_digest_of_a_file_is_its_md5(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert digest(tmp_path / "empty") == "d41d8cd98f00b204e9800998ecf8427e"


def test_a_file_that_only_a_later_stage_misses_is_another_version(tmp_path: Path) -> None:
    """DVC stops before the stage that reads it."""
    before = read_study(toy_project(tmp_path)).fingerprint
    (tmp_path / "code.txt").unlink()
    assert read_study(tmp_path).fingerprint != before

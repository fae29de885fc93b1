"""`make verify`: equal bytes pass, others are told, and a kill costs no finished stage."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dvc.repo import Repo
from PIL import Image

from latent_digits.commands import verify
from latent_digits.commands.differences import differences
from latent_digits.commands.verify import FOLDER
from latent_digits.console import UserError
from latent_digits.data.storage import write_csv, write_json, write_tensors
from latent_digits.project.provenance import digest, locked, read_study
from latent_digits.report.verified import FILE, read_verified

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  prepare:
    cmd: python stages/prepare.py
    deps: [stages/prepare.py, src/made.py]
    outs: [data/split.txt]
  train_ae:
    cmd: python stages/train_ae.py
    deps: [stages/train_ae.py, data/split.txt]
    params: [seed]
    outs: [data/model.txt, data/series]
    metrics: [reports/metrics.json: {cache: false}]
  plot:
    cmd: python stages/plot.py
    deps: [stages/plot.py, data/model.txt, data/series, reports/verified.json]
    plots: [reports/figures: {cache: false}]
"""
STAGES = {
    "prepare": """
        import made
        Path("data/split.txt").write_text(made.SPLIT)
        """,
    "train_ae": """
        import yaml, time
        seed = yaml.safe_load(Path("params.yaml").read_text())["seed"]
        Path("data/model.txt").write_text(Path("data/split.txt").read_text() + str(seed))
        Path("data/series").mkdir()
        Path("data/series/1.txt").write_text("member")
        Path("reports").mkdir(exist_ok=True)
        Path("reports/metrics.json").write_text('{"ae": {"mse": %s}}' % (seed / 4))
        if Path("slow").exists():
            print("slow", flush=True)
            time.sleep(60)
        """,
    "plot": """
        Path("reports/figures").mkdir(parents=True, exist_ok=True)
        for name in ("one", "other"):
            Path(f"reports/figures/{name}.txt").write_text(Path("data/model.txt").read_text())
        record = Path("reports/verified.json").read_text()
        Path("reports/figures/record.txt").write_text(record)
        """,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three quick stages with its results, all committed."""
    folder = tmp_path_factory.mktemp("verify") / "My%20study é"
    for name in ("src", "stages", "data"):
        (folder / name).mkdir(parents=True)
    write_json(folder / FILE, {"stages": {}})
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / ".gitignore").write_text("/.resume/\n__pycache__/\n")
    (folder / ".dvcignore").write_text("/.resume\n")
    (folder / "data/.gitignore").write_text("/split.txt\n/model.txt\n/series\n")
    (folder / "src/made.py").write_text("SPLIT = 'split'\n")
    for name, body in STAGES.items():
        lines = [line.removeprefix("        ") for line in body.splitlines()]
        head = "from pathlib import Path\n"
        (folder / f"stages/{name}.py").write_text(head + "\n".join(lines))
    git(folder, "init", "--quiet")
    run(folder, "-m", "dvc", "init", "--quiet")
    run(folder, "-m", "dvc", "repro")
    git(folder, "add", ".")
    identity = "-c", "user.name=a", "-c", "user.email=a@b.c"
    git(folder, *identity, "commit", "--quiet", "-m", "results")
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, current."""
    folder = tmp_path / made.name
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def run(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, *arguments]
    subprocess.run(
        command, cwd=folder, env=environment | {"PATH": path}, capture_output=True, check=True
    )


def verified(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """The exit code of the command, what it printed, and what it said beside."""
    monkeypatch.setattr("sys.argv", ["verify", *arguments])
    try:
        verify.main()
    except SystemExit as ended:
        code: Any = ended.code
    else:
        code = 0
    captured = capfd.readouterr()
    return code, captured.out, captured.err


def test_a_study_that_gives_its_own_bytes(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def content() -> dict[Path, str]:
        files = (path for path in study.rglob("*") if path.is_file())
        return {
            path: digest(path)
            for path in files
            if not {".git", ".resume", FILE.name} & {*path.relative_to(study).parts}
        }

    before = content()
    code, out, err = verified(monkeypatch, capfd)
    assert code == 0
    assert out.count(" equal\n") == 5
    assert out.endswith("All 5 outputs are, to the byte, those of dvc.lock.\n")
    assert "verify: train_ae, 2 of 3\n" in err
    commit = git(study, "rev-parse", "--short", "HEAD").strip()
    assert f"verify: the code of commit {commit}, compared with its dvc.lock." in err
    assert git(study, "status", "--porcelain") == f" M {FILE}\n"
    assert content() == before
    assert not (study / FOLDER / "study").exists()


def test_other_code_gives_other_bytes_and_is_said_first(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (study / "params.yaml").write_text("seed: 2\n")
    code, out, err = verified(monkeypatch, capfd)
    assert code == 1
    assert "params.yaml changed. The code in this folder is run, and compared with" in err
    assert "verify: train_ae, plot may differ since dvc.lock has them of other code" in err
    lines = [line.split() for line in out.splitlines()]
    assert ["prepare", "data/split.txt", "equal"] in lines
    assert ["train_ae", "reports/metrics.json", "different"] in lines
    assert "ae.mse: 0.25 in dvc.lock, 0.5 here (+0.25)" in out
    assert "line 1: split2" in out
    assert "one.txt: line 1: split2" in out
    assert out.endswith(f"3 of 5 outputs differ; those made here are in {FOLDER}/study.\n")
    assert (study / FOLDER / "study/data/model.txt").read_text() == "split2"
    (study / "params.yaml").write_text("seed: 1\n")
    code, out, err = verified(monkeypatch, capfd)
    assert code == 0
    assert "1 of 3; about" in err  # from nothing again, and the record tells how long it took


def test_one_stage_on_the_committed_inputs(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = verified(monkeypatch, capfd, "plot")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:-2]] == ["plot"]
    assert "verify: plot, 1 of 1" in err


def test_inputs_that_are_not_here_come_from_the_cache_or_are_made(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (study / "data/model.txt").unlink()
    code, out, _ = verified(monkeypatch, capfd, "plot")
    assert (code, out.count("equal")) == (0, 1)
    (study / "data/split.txt").unlink()
    shutil.rmtree(study / ".dvc/cache")
    code, out, err = verified(monkeypatch, capfd, "plot")
    assert (code, out.count("equal")) == (0, 5)
    assert "verify: prepare, 1 of 3" in err


def test_a_folder_comes_from_the_cache_too_if_all_of_it_is_there(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(study / "data/series")
    assert stages_run(study, monkeypatch, "plot") == ["plot"]
    brought = study / FOLDER / "plot/data/series/1.txt"
    assert brought.read_text() == "member"
    assert brought.stat().st_mode & 0o200  # a cache's own files are to be read alone
    md5 = digest(brought)
    member = study / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    member.chmod(0o644)
    member.write_text("damaged")
    assert stages_run(study, monkeypatch, "plot") == ["train_ae"]
    assert "not all that train_ae wrote is here or at a DVC remote; it is made" in (
        " ".join(capfd.readouterr().err.split())
    )
    member.unlink()
    assert stages_run(study, monkeypatch, "plot") == ["train_ae"]


def test_a_remote_is_asked_once_for_all_and_its_refusal_is_a_sentence(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each time that a remote is away costs a minute."""
    asked: list[list[str]] = []

    def fetch(repo: Any, targets: list[str]) -> None:
        asked.append(targets)
        raise ConnectionError("nobody at ssh://name:secret@host")

    monkeypatch.setattr(Repo, "fetch", fetch)
    for name in ("data", ".dvc/cache"):
        shutil.rmtree(study / name)
    assert stages_run(study, monkeypatch, "plot") == ["prepare"]
    assert asked == []  # there is no remote
    run(study, "-m", "dvc", "remote", "add", "--local", "--default", "away", "ssh://host/results")
    assert stages_run(study, monkeypatch, "plot") == ["prepare"]
    assert asked == [["data/split.txt", "data/model.txt", "data/series"]]
    said = " ".join(capfd.readouterr().err.split())
    assert "does not give all that is asked for (ConnectionError: nobody at ssh://host)" in said


def stages_run(study: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> list[str]:
    """The first stage that a verification of `stage` would run, without running it."""
    found = []

    def failing(copy: verify.Copy, stage: str) -> None:
        found.append(stage)
        raise UserError("not run")

    with monkeypatch.context() as patch:
        patch.setattr("sys.argv", ["verify", stage])
        patch.setattr(verify.Copy, "repro", failing)
        with pytest.raises(UserError, match="not run"):
            verify.main()
    return found


def test_inputs_are_brought_again_after_a_failure(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A folder, of which a kill may have left a part, among them."""

    def failing(copy: verify.Copy, stage: str) -> None:
        (copy.folder / "data/series/1.txt").unlink()
        raise UserError("plot failed")

    with monkeypatch.context() as patch:
        patch.setattr(verify.Copy, "repro", failing)
        with pytest.raises(UserError, match="plot failed"):
            verified(monkeypatch, capfd, "plot")
    code, *_ = verified(monkeypatch, capfd, "plot")
    assert code == 0


def test_it_goes_on_after_a_kill(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with (study / "stages/train_ae.py").open("a") as code:
        code.write("\n")  # the copy gets `slow` below, the study does not
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(
        command,
        cwd=study,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        for line in process.stdout or ():
            if line.startswith("slow"):
                os.killpg(process.pid, signal.SIGKILL)
    (study / FOLDER / "study/slow").unlink()
    code, out, err = verified(monkeypatch, capfd)
    assert (code, out.count("equal")) == (0, 5)
    assert "verify: train_ae, 2 of 3" in err
    assert "verify: prepare" not in err
    seconds = {name: one.seconds for name, one in read_verified(study / FILE).stages.items()}
    assert {name for name, of in seconds.items() if of is None} == {"train_ae"}  # the kill's


KILLED = """
from latent_digits.commands import verify
fill = verify.Copy.fill
def slowly(copy, code):
    fill(copy, code)
    (copy.folder / "slow").touch()
verify.Copy.fill = slowly
verify.main()
"""


def test_the_record_has_each_stage_as_it_was_verified(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (study / FILE).unlink()  # in its place a new one is begun
    verified(monkeypatch, capfd, "train_ae")
    assert list(read_verified(study / FILE).stages) == ["train_ae"]
    verified(monkeypatch, capfd, "prepare")
    found = read_verified(study / FILE).stages
    assert list(found) == ["prepare", "train_ae"]
    one, lock = found["train_ae"], read_study(study).lock
    assert one.outputs == locked(lock["train_ae"], "outs")
    assert [*one.outputs] == ["data/model.txt", "data/series", "reports/metrics.json"]
    assert one.different == []
    assert one.commit == git(study, "rev-parse", "--short", "HEAD").strip()
    assert one.date == found["prepare"].date
    assert one.seconds is not None
    assert 0 < one.seconds < 60
    assert one.machine.logical_cores == os.cpu_count()
    assert one.versions["torch"] == torch.__version__.partition("+")[0]
    assert str(study) not in (study / FILE).read_text()


def test_another_stage_keeps_what_was_found_before(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    verified(monkeypatch, capfd, "prepare")
    before = read_verified(study / FILE).stages["prepare"]
    (study / "params.yaml").write_text("seed: 2\n")
    code, *_ = verified(monkeypatch, capfd, "train_ae")
    found = read_verified(study / FILE).stages
    assert code == 1
    assert found["prepare"] == before
    assert found["train_ae"].different == ["data/model.txt", "reports/metrics.json"]
    assert found["train_ae"].commit == f"{before.commit} with changes"


def test_what_was_recorded_meanwhile_changes_no_verdict_on_the_report(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`plot` prints the record, which is another one after each verification."""
    verified(monkeypatch, capfd, "prepare")
    code, _, err = verified(monkeypatch, capfd, "plot")
    assert code == 0
    assert "may differ" not in err
    run(study, "-m", "dvc", "repro")  # now the report is of the record here, which git has not
    code, _, err = verified(monkeypatch, capfd, "plot")
    assert code == 0
    assert "may differ" not in err


def test_a_damaged_record_is_said_before_anything_is_made(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["verify"])
    (study / FILE).write_text("{")
    with pytest.raises(UserError, match=r"verified\.json is not as `make verify` writes it \(all"):
        verify.main()
    assert not (study / FOLDER).exists()


def test_mistakes_are_sentences(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = read_study(study)
    with pytest.raises(UserError, match="takes one stage or none, not 'train'; stages are prepare"):
        verify.stages_of(known, ["train"])
    (study / "dvc.lock").unlink()
    with pytest.raises(UserError, match=r"dvc\.lock has no results of prepare, train_ae, plot to"):
        verify.stages_of(read_study(study), [])
    monkeypatch.setattr("sys.argv", ["verify"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    git(study, "checkout", "dvc.lock")
    with pytest.raises(UserError, match=r"the disk of .* has 1 MB left, and a study takes 200"):
        verify.main()
    assert not (study / FOLDER).exists()


def test_a_stage_that_fails_is_a_sentence(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (study / "stages/prepare.py").write_text("raise SystemExit('no')\n")
    monkeypatch.setattr("sys.argv", ["verify"])
    with pytest.raises(UserError, match=r"prepare failed in \.resume/verify/study, as its lines"):
        verify.main()


def test_how_far_two_files_are_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    arrays = {"a": np.arange(3.0), "b": np.zeros((0, 2))}
    write_tensors(one / "w.safetensors", arrays, {"x": 1})
    write_tensors(other / "w.safetensors", arrays | {"a": np.array([0, 1, 2.5])}, {"x": 1})
    write_json(one / "m.json", {"a": {"mse": 0.5, "n": 1}})
    write_json(other / "m.json", {"a": {"mse": 0.25, "n": 1}, "new": "text"})
    write_csv(one / "h.csv", ["epoch", "loss"], [{"epoch": n, "loss": 1 / n} for n in (1, 2)])
    write_csv(other / "h.csv", ["epoch", "loss"], [{"epoch": n, "loss": 1.0} for n in (1, 2)])
    (one / "r.md").write_text("a\nb\n")
    (other / "r.md").write_text("a\nc\nd\n")
    (one / "r.pdf").write_bytes(b"%PDF\x80 1")
    (other / "r.pdf").write_bytes(b"%PDF\x80 22")
    pixels = np.zeros((4, 5, 3), np.uint8)
    Image.fromarray(pixels).save(one / "f.png")
    pixels[0, 0, 1] = 7
    Image.fromarray(pixels).save(other / "f.png")
    (other / "extra.txt").touch()
    assert differences(one, other) == [
        "extra.txt is in one of both only",
        "f.png: 5.00% of the pixels, by up to 7 of 255",
        "h.csv: from row 2 on; largest difference 0.5, in loss",
        "m.json: a.mse: 0.5 in dvc.lock, 0.25 here (-0.25)",
        "m.json: new: None in dvc.lock, text here",
        "r.md: line 2: c",
        "r.md: 2 lines in dvc.lock, 3 here",
        "r.pdf: 7 bytes in dvc.lock, 8 here; other ones from byte 6 on",
        "w.safetensors: 1 of 2 arrays; largest difference 0.5, in a",
    ]
    assert differences(one, one) == []
    text = (one / "m.json").read_text()
    (other / "m.json").write_text(text.replace("  ", " "))
    assert differences(one / "m.json", other / "m.json") == ["equal values, written otherwise"]

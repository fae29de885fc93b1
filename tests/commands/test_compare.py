"""A comparison of two revisions in git: verdicts, reasons, and every way in which there is none."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from latent_digits.commands.compare import main
from latent_digits.commands.verify import environment
from latent_digits.comparison.assembly import compared
from latent_digits.comparison.markdown import render
from latent_digits.comparison.revisions import NoBaseError, committed, working_tree
from latent_digits.comparison.values import Comparison, MetricRow
from latent_digits.console import UserError
from latent_digits.data.storage import read_tensors, write_tensors
from latent_digits.evaluation.measures import evaluation_of
from latent_digits.evaluation.metrics import digest_of_images
from studies import (
    IMAGES,
    commit,
    dataset,
    edit_metrics,
    git,
    lock,
    parameters,
    replicas,
    results,
    study,
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("study") / "project")


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "project")


def compare(folder: Path, base: str = "main", **options: bool) -> Comparison:
    with committed(folder, base) as revision:
        return compared(revision, working_tree(folder), **options)


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "latent_digits.commands.compare", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def gate(folder: Path, patch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the gate, which runs in this process: a new one imports for 5 s."""
    patch.chdir(folder)
    patch.setattr("sys.argv", ["compare", "--gate", *arguments])
    try:
        main()
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return ended.code
    return 0


def row(comparison: Comparison, name: str) -> MetricRow:
    return next(one for one in comparison.metrics if one.name == name)


def another_recipe(params: dict[str, Any]) -> None:
    params["train_ae"]["ae"]["patience"] = 8


def test_nothing_changed(project: Path) -> None:
    found = compare(project)
    assert {one.verdict for one in found.metrics} == {"same"}
    assert found.sentence == "Nothing differs: every metric is the same to the last digit."
    assert (found.gate.exit, found.stages, found.parameters) == (0, [], [])


def test_worse_beyond_tolerance_better_and_unclear(project: Path) -> None:
    replicas(project)
    commit(project, "replicas")
    parameters(project, another_recipe)
    results(project, {"ae_mse_e3": 2.0, "vae_loss": -2.0, "vae_mse_e3": 0.05})
    found = compare(project)
    assert row(found, "ae_mse_e3").verdict == "worse"
    assert row(found, "ae_mse_e3").beyond
    assert row(found, "vae_loss").verdict == "better"
    assert row(found, "vae_mse_e3").verdict == "unclear"
    assert "these two trainings differ: p < 0.001" in row(found, "vae_mse_e3").note
    assert row(found, "denoiser_mse_e3").verdict == "same"
    assert found.sentence == ("1 better, 1 worse of 9 gated metrics; 1 worse beyond tolerance.")
    assert found.gate.exit == 1
    assert found.gate.reasons[0].startswith("ae_mse_e3 is worse by 1.")
    assert (found.base.seeds, found.head.seeds) == (6, 1)
    assert [one.name for one in found.parameters] == ["train_ae.ae.patience"]
    causes = {one.stage: (one.causes, one.same_bytes) for one in found.stages}
    assert causes["train_ae"] == (["parameter train_ae.ae.patience"], True)
    assert found.worsened
    assert {one.name for one in found.classes} == {"ae_mse_e3"}


def test_worse_within_tolerance_passes_and_strict_does_not(project: Path) -> None:
    replicas(project, sigma=0.001)
    commit(project, "replicas")
    parameters(project, another_recipe)
    results(project, {"ae_mse_e3": 0.09})
    assert row(compare(project), "ae_mse_e3").verdict == "worse"
    assert compare(project).gate.exit == 0
    assert compare(project, strict=True).gate.exit == 0
    results(project, {"ae_mse_e3": 0.0999})
    assert compare(project).gate.exit == 0
    strict = compare(project, strict=True).gate
    assert (strict.exit, len(strict.reasons)) == (1, 1)
    assert "may be worse" in strict.reasons[0]


def test_without_noise_of_seeds_nothing_gates(project: Path) -> None:
    parameters(project, another_recipe)
    results(project, {"ae_mse_e3": 5.0})
    found = compare(project)
    assert row(found, "ae_mse_e3").verdict == "unclear"
    assert "the noise of seeds is not known" in row(found, "ae_mse_e3").note
    assert found.gate.exit == 0
    assert any("make replicas" in note for note in found.notes)


def test_the_noise_of_another_recipe_is_borrowed_and_said(project: Path) -> None:
    replicas(project)
    commit(project, "replicas")
    parameters(project, another_recipe)
    results(project, draw=3)
    commit(project, "patience")
    parameters(project, lambda params: params["train_ae"]["ae"].update(patience=9))
    results(project, {"ae_mse_e3": 3.0}, draw=3)
    found = compare(project, "HEAD")
    assert row(found, "ae_mse_e3").verdict == "worse"
    loan = [note for note in found.notes if "borrowed" in note]
    assert loan[0].startswith("The noise of seeds is borrowed from 5 seeds of ")
    assert loan[0].endswith(", 2 versions of the study ago; `make replicas` measures it anew.")


def test_a_redraw_is_called_one(project: Path) -> None:
    replicas(project)
    commit(project, "replicas")
    parameters(project, lambda params: params.update(seed=4))
    results(project, draw=1)
    found = compare(project)
    assert found.sentence == (
        "A redraw: only the seed differs, and all 9 gated metrics stay within the noise of seeds."
    )
    assert (found.gate.exit, found.base.seeds, found.head.seeds) == (0, 1, 1)


def test_old_results_are_struck_out(project: Path) -> None:
    commit(project, "base")
    parameters(project, another_recipe)
    found = compare(project)
    assert [one.stage for one in found.stale] == [
        *("train_ae", "finetune", "evaluate", "plot"),
    ]
    assert found.stale[0].causes == ["parameter train_ae.ae.patience"]
    assert found.stale[2].causes == ["upstream: train_ae, finetune"]
    assert found.gate.exit == 2
    assert found.sentence.startswith("These are the old results: those of train_ae, finetune")
    assert "~~=~~" in render(found)


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("src/latent_digits/models/networks.py", "code: src/latent_digits/models"),
        ("src/latent_digits/seeds.py", "code: src/latent_digits/seeds.py"),
        ("stages/train_vae.py", "code: stages/train_vae.py"),
        ("reports/histories/vae.csv", "reports/histories/vae.csv is not what the stage wrote"),
    ],
)
def test_what_makes_results_old(project: Path, path: str, cause: str) -> None:
    with (project / path).open("a") as file:
        file.write("\n")
    stale = {one.stage: one.causes for one in compare(project).stale}
    assert any(one.startswith(cause) for one in stale["train_vae"])


def test_a_file_that_no_stage_reads_makes_nothing_old(project: Path) -> None:
    (project / "src/latent_digits/tracking/mlflow/sender.py").write_text("")
    compiled = project / "src/latent_digits/engine/__pycache__/kernels.pyc"
    compiled.parent.mkdir()
    compiled.write_text("compiled")
    parameters(project, lambda params: params["tracking"].update(required=True))
    assert compare(project).gate.exit == 0


def test_metrics_changed_by_hand(project: Path) -> None:
    edit_metrics(project, ae_mse_e3=0.001)
    found = compare(project)
    assert found.gate.exit == 2
    assert "metrics.json is not what the stage wrote" in found.stale[0].causes[0]


def test_a_metric_that_is_not_finite_does_not_pass(project: Path) -> None:
    edit_metrics(project, ae_mse_e3=float("nan"))
    lock(project)
    found = compare(project)
    assert row(found, "ae_mse_e3").verdict == "not finite"
    assert found.gate.exit == 1
    assert found.gate.reasons == [
        "ae_mse_e3 is not finite: a training that diverged, or a file changed by hand."
    ]
    json.loads(found.model_dump_json())


@pytest.mark.parametrize(
    ("fact", "reason"),
    [("images", "other images"), ("noise", "other noise"), ("way", "another way of measuring")],
)
def test_what_was_measured_otherwise_is_not_compared(project: Path, fact: str, reason: str) -> None:
    results(project, {"ae_mse_e3": 5.0}, **{fact: "other"})
    found = compare(project)
    assert {one.verdict for one in found.metrics} == {"not comparable"}
    assert {(*one.apart, one.note) for one in found.metrics} == {(fact, reason)}
    assert found.gate.exit == 3
    accepted = compare(project, accept_new_test_set=True).gate
    assert accepted.exit == (0 if fact == "images" else 3)


def test_a_new_test_set_is_all_that_can_be_accepted(project: Path) -> None:
    results(project, {"ae_mse_e3": 5.0}, images="other", noise="other")
    assert compare(project, accept_new_test_set=True).gate.exit == 3


def test_shuffled_images_are_refused(project: Path) -> None:
    """The digest is of the images in their order, so that pairs are pairs."""
    one = dataset(20, 0)
    sample = evaluation_of(one, one, one, 0, 100).test
    order = [*range(19, -1, -1)]
    shuffled = type(sample)(sample.images[order], sample.labels[order])
    results(project, images=digest_of_images(sample))
    commit(project, "in order")
    results(project, draw=1, images=digest_of_images(shuffled))
    assert {row.note for row in compare(project).metrics} == {"other images"}


def test_metrics_come_and_go(project: Path) -> None:
    path = project / "reports/metrics.json"
    found = json.loads(path.read_text())
    found["quite_new"] = 1.0
    del found["ae_mse_e3"]
    path.write_text(json.dumps(found))
    lock(project)
    comparison = compare(project)
    assert row(comparison, "quite_new").verdict == "new"
    assert row(comparison, "ae_mse_e3").verdict == "gone"
    assert comparison.gate.exit == 3
    assert comparison.gate.reasons == ["ae_mse_e3 cannot be compared: it is gone."]
    assert not comparison.gate.neutral


def test_the_gate_is_the_bases_and_its_change_is_said(project: Path) -> None:
    replicas(project)
    commit(project, "replicas")
    parameters(project, another_recipe)
    parameters(project, lambda params: params["gate"]["ae_mse_e3"].update(tolerance=1000.0))
    results(project, {"ae_mse_e3": 2.0})
    gate = compare(project).gate
    assert gate.exit == 1
    assert [(one.name, one.base, one.head) for one in gate.changes] == [
        ("ae_mse_e3.tolerance", "0.1", "1000.0")
    ]
    assert "The gate itself differs" in render(compare(project))


def test_a_base_from_before_there_were_values_per_image(project: Path) -> None:
    git(project, "rm", "--quiet", "reports/per_image.safetensors")
    commit(project, "old")
    results(project)
    found = compare(project, "HEAD")
    assert {one.verdict for one in found.metrics} == {"not comparable"}
    assert row(found, "ae_mse_e3").base == pytest.approx(20.0)
    assert (found.gate.exit, found.gate.neutral) == (3, True)


def test_a_base_with_the_long_table_of_old(project: Path) -> None:
    path = project / "reports/metrics.json"
    path.write_text(json.dumps({"ae": {"test_mse": 0.0055, "test_mse_low": 0.005}}))
    git(project, "rm", "--quiet", "reports/per_image.safetensors")
    commit(project, "old")
    results(project)
    assert row(compare(project, "HEAD"), "ae_mse_e3").base == pytest.approx(5.5)


def test_no_commit_yet(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")
    with pytest.raises(NoBaseError, match="has no commit yet"):
        compare(project)


def test_an_unknown_revision_without_a_remote(project: Path) -> None:
    with pytest.raises(NoBaseError, match="no-such is no commit, branch or tag here, and there is"):
        compare(project, "no-such")


def test_a_shallow_clone_fetches_the_one_commit(project: Path, tmp_path: Path) -> None:
    base = commit(project, "base")
    results(project, draw=1)
    commit(project, "another draw")
    git(project, "config", "uploadpack.allowReachableSHA1InWant", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project}", str(clone))
    assert compare(clone, base).base.commit == base
    with pytest.raises(NoBaseError, match="origin does not give it"):
        compare(clone, "no-such")


def test_where_head_has_left_main_is_the_default(project: Path) -> None:
    base = commit(project, "base")
    git(project, "checkout", "--quiet", "-b", "work")
    results(project, draw=1)
    commit(project, "mine")
    git(project, "checkout", "--quiet", "main")
    commit(project, "theirs")
    git(project, "checkout", "--quiet", "work")
    git(project, "merge", "--quiet", "main", "--message", "merge")
    assert compare(project, "").base.subject == "theirs"
    git(project, "checkout", "--quiet", "--detach", "HEAD~1")
    assert compare(project, "").base.commit == base


def test_no_main(project: Path) -> None:
    git(project, "branch", "--move", "main", "trunk")
    with pytest.raises(NoBaseError, match="no branch main is known here"):
        compare(project, "")


@pytest.mark.slow
def test_the_command_writes_three_pages_and_ends_as_the_gate_does(project: Path) -> None:
    replicas(project)
    commit(project, "replicas")
    parameters(project, another_recipe)
    results(project, {"ae_mse_e3": 2.0})
    done = command(project, "main")
    assert (done.returncode, done.stderr) == (0, "")
    assert "worse, beyond tolerance" in done.stdout
    read = Comparison.model_validate_json((project / "reports/compare.json").read_text())
    assert render(read) == (project / "reports/compare.md").read_text()
    assert read.sentence in (project / "reports/compare.html").read_text()
    assert command(project, "--gate", "main").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("no-such",), 3, "gate: no-such is no commit"),
        (("--neutral", "no-such"), 3, "gate: no-such is no commit"),
        (("--strict", "yes"), 4, "compare: STRICT is 'yes'; it should be 1, or not be set."),
        (("--", "--all"), 4, "compare: BASE is '--all'; it should be a commit, a branch or a tag."),
        (("main", "other"), 4, "compare: unrecognized arguments: other."),
        (("main",), 0, ""),
    ],
)
def test_how_the_gate_ends(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert gate(project, monkeypatch, *arguments) == code
    found = capfd.readouterr().err
    assert said in found
    assert "Traceback" not in found


def test_parameters_that_are_wrong_are_misuse(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    parameters(project, lambda params: params["gate"]["vae_loss"].update(better="up"))
    assert gate(project, monkeypatch, "main") == 4
    assert "params.yaml: gate.vae_loss.better is 'up'" in capfd.readouterr().err


def test_a_strangers_words_stay_words(project: Path) -> None:
    evil = "<script>alert(1)</script> @all #1 | [x](http://e.org) `code`"
    commit(project, evil)
    found = compare(project, "HEAD")
    text = render(found)
    assert "<script>" not in text
    assert "@all" not in text
    assert "](http" not in text.replace("\\](", "")
    assert "| [x" not in text


# What a review has found.


def test_a_whole_clone_stays_whole(project: Path, tmp_path: Path) -> None:
    git(project, "branch", "old")
    commit(project, "one more")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", f"file://{project}", str(clone))
    assert compare(clone, "old").base.subject == "a study"
    with pytest.raises(NoBaseError):
        compare(clone, "no-such")
    assert not (clone / ".git/shallow").exists()


def edit_replicas(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "reports/replicas.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(commit="--output=pwned"),
        lambda found: found.update(commit="c" * 400),
        lambda found: found["rows"]["1"]["metrics"].update(denoiser_mse_e3=float("nan")),
        lambda found: found.update(rows=[]),
    ],
)
def test_replicas_that_are_none_are_refused(
    project: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    replicas(project)
    edit_replicas(project, change)
    with pytest.raises(UserError, match=r"replicas\.json is not as `make replicas` writes it"):
        compare(project)
    assert not list(project.glob("pwned*"))


def test_strict_without_noise_of_seeds_does_not_pass(project: Path) -> None:
    parameters(project, another_recipe)
    results(project, draw=1)
    found = compare(project, strict=True)
    assert found.gate.exit == 1
    assert "may be worse by any amount" in found.gate.reasons[0]
    assert row(found, "ae_mse_e3").low is None


@pytest.mark.parametrize(
    "change", [{"on": "val"}, {"seed": 7}, {"way": "another"}, {"variance": 0.5}]
)
def test_neutral_is_for_bases_of_old_alone(project: Path, change: dict[str, Any]) -> None:
    results(project, {"ae_mse_e3": 5.0}, **change)
    gate = compare(project).gate
    assert (gate.exit, gate.neutral) == (3, False)


def test_results_that_no_stage_writes_are_old(project: Path) -> None:
    path = project / "dvc.yaml"
    stages = yaml.safe_load(path.read_text())
    del stages["stages"]["evaluate"], stages["stages"]["plot"]
    path.write_text(yaml.safe_dump(stages))
    edit_metrics(project, ae_mse_e3=1.0)
    found = compare(project)
    assert found.gate.exit == 2
    assert "no stage writes reports/metrics.json" in found.stale[-1].causes[-1]


@pytest.mark.parametrize("name", ["ae_mse_e3", "accuracy_pct"])
def test_metrics_changed_with_their_digest_contradict_the_images(project: Path, name: str) -> None:
    edit_metrics(project, **{name: 19.0})
    lock(project)
    found = compare(project)
    assert found.gate.exit == 2
    assert found.stale[0].causes == [
        f"evaluation.json has another {name} than metrics.json: changed by hand?",
        f"per_image.safetensors has another {name} than metrics.json: changed by hand?",
    ]


def test_replicas_that_are_new_here_are_said(project: Path) -> None:
    parameters(project, another_recipe)
    results(project, {"ae_mse_e3": 5.0})
    replicas(project, sigma=50.0)
    own = [one for one in compare(project).notes if "vouches" in one]
    assert own == [
        "5 seeds of reports/replicas.json are this tree's own; nothing else vouches for them."
    ]


def test_no_seed_counts_twice(project: Path) -> None:
    parameters(project, lambda params: params.update(seed=1))
    results(project)
    replicas(project)
    commit(project, "replicas, one of them under the study's own seed")
    parameters(project, another_recipe)
    results(project, draw=1)
    assert compare(project).base.seeds == 5


def test_a_gate_of_something_unknown(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    parameters(project, lambda params: params["gate"].update(ae_mse=params["gate"]["ae_mse_e3"]))
    commit(project, "a slip")
    found = compare(project)
    assert row(found, "ae_mse").verdict == "gone"
    assert found.gate.exit == 3
    assert found.gate.reasons == ["ae_mse cannot be compared: neither side has it."]
    assert gate(project, monkeypatch, "main") == 4
    assert "gate.ae_mse is no headline; these are ae_mse_e3, " in capfd.readouterr().err


def test_the_same_change_of_every_image(project: Path) -> None:
    path = project / "reports/per_image.safetensors"
    arrays, about = read_tensors(path)
    arrays["ae_2d_mse_e3"] = np.full(IMAGES, 20, np.float16)
    write_tensors(path, arrays, about)
    lock(project)
    commit(project, "flat")
    arrays["ae_2d_mse_e3"] += np.float16(4)
    write_tensors(path, arrays, about)
    edit_metrics(project, ae_2d_mse_e3=24.0)
    lock(project)
    found = compare(project)
    assert found.worsened[0].name == "ae_2d_mse_e3"
    assert "p < 0.001" in row(found, "ae_2d_mse_e3").note


def test_values_that_are_not_finite(project: Path) -> None:
    path = project / "reports/per_image.safetensors"
    arrays, about = read_tensors(path)
    arrays["ae_mse_e3"][3] = np.inf
    write_tensors(path, arrays, about)
    history = project / "reports/histories/vae.csv"
    history.write_text("epoch,val_loss\n1,0.5\n2,nan\n3,\n")
    lock(project)
    found = compare(project)
    assert row(found, "ae_mse_e3").verdict == "not finite"
    assert next(one for one in found.curves if one.name == "vae").head == [0.5]


ODD = {
    "reports/metrics.json": ["[]", "null", '{"a": "b"}', "{", '{"a": [1]}'],
    "reports/per_image.safetensors": ["", "text"],
    "reports/replicas.json": ["[]", "{"],
    "reports/histories/ae.csv": ["epoch\n1\n"],
    "dvc.lock": [
        "text",
        "stages:",
        "stages: {evaluate: 1}",
        "stages: {evaluate: {cmd: a, outs: [{path: b}]}}",
    ],
    "dvc.yaml": ["", "[]", "text"],
    "params.yaml": [
        "[]",
        "gate: text",
        "seed: 1",
        "gate: {vae_loss: {better: up, tolerance: 1.0}}",
    ],
}


@pytest.mark.parametrize(("path", "content"), [(k, v) for k, many in ODD.items() for v in many])
def test_files_that_are_odd_are_a_sentence(project: Path, path: str, content: str) -> None:
    """In this tree, and in the base, whose fault is never this tree's."""
    whole = (project / path).read_bytes() if (project / path).exists() else None
    (project / path).write_text(content)
    commit(project, "odd")
    try:
        assert compare(project, "HEAD~1").gate.exit in (1, 2, 3)
    except UserError as error:
        assert "Traceback" not in f"{error}"
    (project / path).unlink() if whole is None else (project / path).write_bytes(whole)
    try:
        found = compare(project, "main")
        assert found.gate.exit in (0, 3)
    except NoBaseError as error:
        assert "latent-digits-base" not in f"{error}"


def test_lengths_that_do_not_fit(project: Path) -> None:
    path = project / "reports/per_image.safetensors"
    arrays, about = read_tensors(path)
    write_tensors(path, arrays | {"ae_mse_e3": arrays["ae_mse_e3"][:7]}, about)
    lock(project)
    with pytest.raises(UserError, match="a file of the working tree is odd"):
        compare(project)


def test_one_metric_lost_its_values_per_image(project: Path) -> None:
    path = project / "reports/per_image.safetensors"
    arrays, about = read_tensors(path)
    del arrays["vae_loss"]
    write_tensors(path, arrays, about)
    lock(project)
    assert row(compare(project), "vae_loss").note == "one side has no values per image"


def test_a_redraw_with_something_lost_is_not_called_all_well(project: Path) -> None:
    replicas(project)
    commit(project, "replicas")
    parameters(project, lambda params: params.update(seed=4))
    results(project, {"vae_loss": 9.0}, draw=1)
    edit_metrics(project, ae_mse_e3=float("nan"))
    lock(project)
    found = compare(project)
    assert found.sentence == (
        "A redraw: only the seed differs, and 1 of 9 gated metrics moved more than seeds do."
    )
    assert found.gate.reasons == [
        "ae_mse_e3 is not finite: a training that diverged, or a file changed by hand."
    ]


def test_a_redraw_says_nothing_of_the_recipe_and_does_not_fail(project: Path) -> None:
    replicas(project)
    commit(project, "replicas")
    parameters(project, lambda params: params.update(seed=4))
    results(project, {"vae_loss": 9.0})
    assert compare(project).gate.exit == 0


def test_a_base_that_is_old_itself_is_said(project: Path) -> None:
    replicas(project)
    parameters(project, another_recipe)
    commit(project, "a recipe whose results are not there yet")
    results(project, {"vae_loss": 9.0})
    found = compare(project, "HEAD")
    assert found.notes[0].startswith("The base's own results of train_ae, finetune, evaluate")
    assert "redraw" not in found.sentence


def test_other_results_of_one_recipe_and_seed_are_wondered_at(project: Path) -> None:
    results(project, draw=1)
    assert "Neither recipe nor seed differs, yet results do" in compare(project).notes[0]


@pytest.mark.slow
def test_a_subject_that_steers_a_terminal(project: Path) -> None:
    commit(project, "\x1b]0;title\x07 [/] \u202e evil")
    done = command(project, "HEAD")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout

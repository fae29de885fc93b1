"""The promises of `dvc.yaml`, and the whole pipeline on real MNIST with tiny budgets."""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from imports import SOURCE, closure, imported
from kills import Smoke, outputs
from latent_digits.catalogue import METRICS as HEADLINES
from latent_digits.data.storage import files_of, read_csv, read_tensors
from latent_digits.project.provenance import locked, read_study
from smoke import PROJECT, dvc, environment, run, stale

CODE = ("src/latent_digits", "stages")
STAGES = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
TRAINING = ("train_ae", "train_denoise", "train_vae", "finetune")
METRICS = (
    *("ae.test_mse", "ae_2d.val_mse", "pca.test_mse"),
    *("denoiser.test_mse", "denoiser.as_coded_test_mse", "denoiser.noisy_test_mse"),
    *("vae.test_loss", "vae.test_squared_error", "vae.test_kl", "vae.test_mse"),
    *("vae.active_units", "vae_2d.val_loss"),
    *("classifier.train_accuracy", "classifier.val_accuracy", "classifier.test_accuracy"),
    *("classifier.trainable_parameters", "classifier_random_encoder.test_accuracy"),
    *("classifier_end_to_end.test_accuracy", "ae.davies_bouldin", "vae.davies_bouldin"),
)
# These can stop a stage but not change what it writes, so that a new log line retrains nothing:
# what a stage may call of them returns what a file says, or refuses it, or nothing of use.
OBSERVERS = ("console.py", "starting.py", "project", "tracking")
KNOWN = {"console.py", "starting.py", "project/params.py", "tracking/stage_run.py"}
REPORT = "src/latent_digits/report"
PAGE = {f"{REPORT}/explorer.{kind}" for kind in ("css", "html.j2", "js")}
TEXT = ("report.md.j2", "mnist.md.j2", "report.css", "report.typ")
TEMPLATES = {"plot": {*PAGE, *(f"{REPORT}/{name}" for name in TEXT)}}


def is_observer(path: Path) -> bool:
    return path.relative_to(SOURCE).parts[0] in OBSERVERS


def script(stage: str) -> Path:
    return PROJECT / f"stages/{stage}.py"


def code_of(stage: str) -> set[Path]:
    """Every module that a stage's script imports, directly or not, but for the observers."""
    return closure([script(stage)], is_observer)


def declared_code(stage: str) -> set[str]:
    """The files of code that a stage depends on, a folder's one by one."""
    code = [path for path in STAGES[stage]["deps"] if path.startswith(("src/", "stages/"))]
    files = [file for path in code for file in files_of(PROJECT / path)]
    return {file.relative_to(PROJECT).as_posix() for file in files}


def names(entries: list[Any]) -> set[str]:
    """The paths of outs, metrics or plots, with or without options."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def outputs_of(stage: str) -> set[str]:
    kinds = ("outs", "metrics", "plots")
    return set().union(*(names(STAGES[stage].get(kind, [])) for kind in kinds))


def test_the_eight_stages_in_order() -> None:
    assert tuple(STAGES) == ("prepare", "tune", *TRAINING, "evaluate", "plot")
    assert all(stage["desc"] for stage in STAGES.values())


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_exactly_the_imports(stage: str) -> None:
    expected = {path.relative_to(PROJECT).as_posix() for path in {*code_of(stage), script(stage)}}
    assert declared_code(stage) == expected | TEMPLATES.get(stage, set())


@pytest.mark.parametrize("stage", ["prepare", "plot"])
def test_what_computes_with_no_network_starts_without_torch(stage: str) -> None:
    """Its import takes seconds, which whoever changes a figure's style would wait for."""
    slow, path = {"torch", "numba", "distributed", "mlflow"}, str(script(stage))
    code = f"import runpy, sys; runpy.run_path({path!r}); print({slow} & {{*sys.modules}})"
    assert run(PROJECT, "-c", code).stdout.strip() == "set()"


@pytest.mark.parametrize("stage", ["prepare", "tune", "train_ae", "train_vae", "finetune"])
def test_what_takes_long_can_come_from_the_run_cache(stage: str) -> None:
    """DVC 3.67 keeps nothing there of a stage with an uncached output that is no metric or plot."""
    outs = [one for one in STAGES[stage].get("outs", []) if isinstance(one, dict)]
    assert not [path for one in outs for path, how in one.items() if how.get("cache") is False]


def test_only_evaluate_reads_the_test_set() -> None:
    test_set = "data/split/test.safetensors"
    assert [name for name, stage in STAGES.items() if test_set in stage["deps"]] == ["evaluate"]


def test_every_read_file_is_written_by_an_earlier_stage() -> None:
    # By a person, who commits them.
    written = {f"reports/{name}.json" for name in ("ablation", "replicas", "verified")}
    written |= {"data/own"}
    for name, stage in STAGES.items():
        data = {path for path in stage["deps"] if path.startswith(("data/", "reports/"))}
        assert data <= written, name
        written |= outputs_of(name)


@pytest.mark.parametrize("stage", STAGES)
def test_stages_know_no_observer_behind_tracking(stage: str) -> None:
    """So the others can return to a stage only what tracking does: nothing that it could write."""
    found = {one for path in {*code_of(stage), script(stage)} for one in imported(path)}
    known = {path.relative_to(SOURCE).as_posix() for path in found if is_observer(path)}
    assert {path for path in known if not path.endswith("__init__.py")} <= KNOWN


def test_every_output_exists_and_no_draft_is_left(smoke: Smoke) -> None:
    folder = smoke.folder
    for stage in STAGES:
        assert all((folder / name).exists() for name in outputs_of(stage))
    for part in ("data", "reports"):
        hidden = {path.name for path in (folder / part).rglob(".*")}
        assert hidden <= {".gitignore"}


def test_stages_touch_only_what_they_declare(smoke: Smoke) -> None:
    opened = [
        (stage, mode, name)
        for stage, mode, name in smoke.opened()
        if stage in STAGES and not is_aside(name, mode) and not is_state(stage, name)
    ]
    assert {stage for stage, _, _ in opened} == set(STAGES)
    # Tracking notes which code there is, and keeps all of it for the models.
    code = {f"{path.relative_to(PROJECT)}" for part in CODE for path in files_of(PROJECT / part)}
    project = {"params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock"}
    # Noted as what no stage writes.
    project |= {f"reports/{name}.json" for name in ("ablation", "replicas", "verified")}
    project |= {"data/own/README.md"}
    for stage, mode, name in opened:
        final = re.sub(r"(^|/)\.([^/]+)\.[^./]+$", r"\1\2", name)  # a draft takes this name
        final = re.sub(r"__pycache__/(\w+)\.cpython-\d+\.pyc$", r"\1.py", final)
        allowed = outputs_of(stage)
        if mode == "r":
            allowed |= {*STAGES[stage]["deps"], *code, *project}
        assert final in allowed or str(Path(final).parent) in allowed, (stage, mode, name)


def is_aside(name: str, mode: str) -> bool:
    """Whether a file is MLflow's or what Python and Numba compile, not the study's.

    To read what Python has compiled is to read its source.
    """
    if mode == "w" and "/__pycache__/" in name:
        return True
    compiled = "src/latent_digits/engine/__pycache__"  # itself too, to see if it is writable
    mlflow = ("mlartifacts/", "mlflow.db", "mlflow-unsent/")
    return name == compiled or name.startswith((*mlflow, f"{compiled}/kernels."))


def is_state(stage: str, name: str) -> bool:
    """Whether a file is of the stage's own resume cache, which only fits the inputs that it was
    made from."""
    return name.startswith(f".resume/{stage}/")


def test_nothing_to_do_the_second_time(smoke: Smoke) -> None:
    folder = smoke.folder
    again = dvc(folder, "repro")
    assert again.returncode == 0
    assert "Running stage" not in again.stdout


@pytest.mark.filterwarnings("ignore")  # DVC's own
def test_a_change_of_style_reruns_the_plot_alone(smoke: Smoke) -> None:
    folder = smoke.folder
    params = (folder / "params.yaml").read_text()
    try:
        (folder / "params.yaml").write_text(params.replace("dpi: 50", "dpi: 80"))
        assert stale(folder) == {"plot"}
    finally:
        (folder / "params.yaml").write_text(params)


def test_digests_are_those_that_dvc_has_written(smoke: Smoke) -> None:
    """A room's among them, though beside its code lies what Python and Numba have compiled."""
    folder = smoke.folder
    study = read_study(folder)
    assert (folder / "src/latent_digits/engine/__pycache__").is_dir()
    for stage in STAGES:
        assert study.digests(study.dependencies(stage)) == locked(study.lock[stage], "deps")
    assert set(study.made({})) == set(STAGES)


@pytest.mark.filterwarnings("ignore")  # DVC's own
@pytest.mark.parametrize(
    ("path", "reruns"),
    [
        ("src/latent_digits/tracking/records.py", set()),
        ("src/latent_digits/project/params.py", set()),
        ("src/latent_digits/commands/compare.py", set()),
        ("src/latent_digits/engine/__pycache__/kernels.cpython-311.pyc", set()),
        ("src/latent_digits/preparation/splits.py", {"prepare"}),
        ("src/latent_digits/search/sampler.py", {"tune"}),
        ("src/latent_digits/study/noise.py", {*TRAINING, "evaluate"}),
        ("src/latent_digits/engine/draws.py", {"tune", *TRAINING, "evaluate"}),
        ("src/latent_digits/evaluation/measures.py", {"evaluate"}),
        ("src/latent_digits/report/report.md.j2", {"plot"}),
        ("src/latent_digits/catalogue.py", {"evaluate", "plot"}),
    ],
)
def test_an_edit_reruns_just_the_stages_that_name_the_file_or_its_room(
    smoke: Smoke, path: str, reruns: set[str]
) -> None:
    folder = smoke.folder
    file = folder / path
    before = file.read_bytes() if file.exists() else b""
    try:
        file.write_bytes(before + b"\n# edited\n")
        assert stale(folder) == reruns
        assert set(STAGES) - set(read_study(folder).made({})) == behind(reruns)
    finally:
        file.write_bytes(before)


def behind(stages: set[str]) -> set[str]:
    """These, and the stages that read what one of them writes."""
    found = set(stages)
    for stage in STAGES:
        if any(outputs_of(one) & {*STAGES[stage]["deps"]} for one in found):
            found.add(stage)
    return found


def test_metrics_are_complete_and_finite(smoke: Smoke) -> None:
    folder = smoke.folder
    metrics = json.loads((folder / "reports/evaluation.json").read_text())
    for key in METRICS:
        group, name = key.split(".")
        value = metrics[group][name]
        assert math.isfinite(value)
        if name.startswith("test_"):
            assert metrics[group][f"{name}_low"] <= value <= metrics[group][f"{name}_high"]
    assert metrics["vae"]["test_loss"] == pytest.approx(
        metrics["vae"]["test_squared_error"] + metrics["vae"]["test_kl"]
    )
    assert metrics["pca"]["test_mse"] < metrics["denoiser"]["noisy_test_mse"]


def test_headlines_are_few_and_those_of_the_long_table(smoke: Smoke) -> None:
    folder = smoke.folder
    headlines = json.loads((folder / "reports/metrics.json").read_text())
    details = json.loads((folder / "reports/evaluation.json").read_text())
    assert list(headlines) == [one.name for one in HEADLINES]
    for one in HEADLINES:
        value = one.scale * details[one.group][one.of_group]
        assert headlines[one.name] == pytest.approx(value, rel=1e-12)


def test_values_per_test_image_have_the_headlines_for_their_means(smoke: Smoke) -> None:
    folder = smoke.folder
    headlines = json.loads((folder / "reports/metrics.json").read_text())
    arrays, about = read_tensors(folder / "reports/per_image.safetensors")
    assert set(about["ways"]) == set(headlines)
    for name in set(arrays) - {"labels"}:
        right = 100.0 * (arrays[name] == arrays["labels"])
        values = right if name.endswith("_pct") else arrays[name].astype(float)
        assert len(values) == 500
        assert values.mean() == pytest.approx(headlines[name], rel=1e-4)


def test_the_report_shows_every_figure_and_number(smoke: Smoke) -> None:
    folder = smoke.folder
    report = (folder / "reports/report.md").read_text()
    shown = set(re.findall(r"\(figures/(\w+\.png)\)", report))
    drawn = {path.name for path in (folder / "reports/figures").iterdir()}
    assert shown | {name.replace(".png", ".svg") for name in shown} == drawn
    assert len([name for name in shown if name.startswith("fig")]) == 16


def test_progress_is_plain_lines_without_a_terminal(smoke: Smoke) -> None:
    assert re.search(r"train_ae ae: epoch 3/3 +train [\d.]+ +val [\d.]+", smoke.run.printed)
    assert "\x1b" not in smoke.run.printed


def test_a_training_over_two_processes_is_one_parameter(smoke: Smoke, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(smoke.folder, folder)
    before = read_csv(folder / "reports/histories/denoiser.csv")
    params = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(params.replace("devices: 1", "devices: 2"))
    done = dvc(folder, "repro", "train_denoise")
    assert done.returncode == 0, done.stdout
    assert re.findall(r"Running stage '(\w+)'", done.stdout) == ["train_denoise"]
    after = read_csv(folder / "reports/histories/denoiser.csv")
    # Other roundings, so it was not one process. They grow within a few steps of Adam, by which a
    # weight moves by the sign of next to no gradient; a unit at the edge may die in one and not in
    # the other.
    assert after != before
    for row, expected in zip(after, before, strict=True):
        for name, value in expected.items():
            near = {"abs": 0.05} if name.startswith("dead_") else {"rel": 1e-3}
            assert row[name] == pytest.approx(value, **near), name


def test_replicas_keep_what_is_done(smoke: Smoke, tmp_path: Path) -> None:
    """And a seed's models are measured as `evaluate` measures the study's own."""
    folder = tmp_path / "project"
    shutil.copytree(smoke.folder, folder)
    for missing in (1, 0):
        done = run(folder, "-m", "latent_digits.commands.replicas", "1")
        assert done.returncode == 0, done.stdout
        assert f"seeds 1 to 1, of which {missing} are to be trained" in done.stdout
    found = json.loads((folder / "reports/replicas.json").read_text())
    assert list(found["rows"]) == ["1"]
    one = found["rows"]["1"]["metrics"]
    own = json.loads((folder / "reports/metrics.json").read_text())
    assert list(one) == list(own)
    assert all(one[name] != own[name] for name in ("ae_mse_e3", "vae_loss"))


@pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models
def test_mlflow_has_the_state_its_stages_trials_and_models(smoke: Smoke) -> None:
    from mlflow import MlflowClient

    folder = smoke.folder
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = {
        experiment.name: client.search_runs([experiment.experiment_id], order_by=["start_time"])
        for experiment in client.search_experiments()
    }
    (study,) = [run for run in runs["latent-digits"] if "stage" not in run.data.tags]
    stages = [run for run in runs["latent-digits"] if "stage" in run.data.tags]
    assert [run.data.tags["stage"] for run in stages] == list(STAGES)
    assert {run.info.status for run in (study, *stages)} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in stages} == {study.info.run_id}
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    assert study.data.metrics["ae_mse_e3"] == metrics["ae_mse_e3"]
    assert study.data.params["tune.epochs"] == "3"
    datasets = {one.dataset.name: one.dataset for one in study.inputs.dataset_inputs}
    assert json.loads(datasets["mnist-val"].profile) == {"num_rows": 400}
    assert set(datasets) == {"mnist-train", "mnist-val", "mnist-test"}
    assert {one.path for one in client.list_artifacts(study.info.run_id)} == {
        "digests.json",
        "evaluation.json",
        "metrics.json",
        "report.html",
    }
    ae = next(run for run in stages if run.data.tags["stage"] == "train_ae")
    assert len(client.get_metric_history(ae.info.run_id, "ae.val_loss")) == 3
    assert ae.data.metrics["ae.images_per_second"] > 0
    assert "hyperparameters.latent_dim" in ae.data.params
    assert len(runs["latent-digits trials"]) == 4
    assert len(client.search_registered_models()) == 8
    assert not list((folder / "mlflow-unsent").glob("[!.]*"))


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_rerun_must_not_depend_on_is_in_no_output(smoke: Smoke, stage: str) -> None:
    folder = smoke.folder
    for name in outputs_of(stage):
        paths = (folder / name).rglob("*") if (folder / name).is_dir() else [folder / name]
        for path in paths:
            assert str(folder).encode() not in path.read_bytes()


def test_a_missing_upstream_file_is_a_sentence(smoke: Smoke) -> None:
    folder = smoke.folder
    model = folder / "data/models/ae.safetensors"
    whole = model.read_bytes()
    try:
        model.unlink()
        assert sentence(folder, "finetune") == (
            "error: data/models/ae.safetensors is missing; `dvc repro` makes it again, "
            "`dvc checkout` restores it."
        )
        model.write_bytes(whole[:1000])
        assert "data/models/ae.safetensors is no readable safetensors file" in sentence(
            folder, "finetune"
        )
    finally:
        model.unlink()
        model.write_bytes(whole)


def test_a_hyperparameters_of_another_data_set_is_refused(smoke: Smoke) -> None:
    folder = smoke.folder
    hparams = folder / "reports/hyperparameters.json"
    text = hparams.read_text()
    try:
        hparams.write_text(re.sub(r'"split": "\w+"', '"split": "0123"', text))
        assert "was made from another data set (split 0123)" in sentence(folder, "train_ae")
    finally:
        hparams.write_text(text)


def sentence(folder: Path, stage: str) -> str:
    """What a stage says when it refuses to run: no traceback, exit 1."""
    failed = run(folder, f"stages/{stage}.py")
    assert failed.returncode == 1
    assert "Traceback" not in failed.stdout
    return failed.stdout.strip()


WAITING = """
import pathlib, time
deadline = time.monotonic() + 60
while not pathlib.Path("go").exists() and time.monotonic() < deadline:
    time.sleep(0.1)
"""


def test_a_second_run_at_the_same_time_says_so_and_touches_nothing(
    smoke: Smoke, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(smoke.folder, folder)
    before = outputs(folder)
    script = folder / "stages/prepare.py"
    script.write_text(f"{WAITING}{script.read_text()}")
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env=environment(folder) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        for line in first.stdout or ():
            if line.startswith("Running stage 'prepare'"):
                break
        second = dvc(folder, "repro")
        (folder / "go").touch()
        first.communicate()
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in second.stdout
    assert "Running stage" not in second.stdout
    assert first.returncode == 0
    assert outputs(folder) == before

"""What a study's page says: its numbers, and which run made each stage's outputs."""

from collections.abc import Iterable, Mapping

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils import mlflow_tags

ELSEWHERE = "elsewhere"  # the tag `made` of a run that was logged from its committed files
NOT_HEADLINES = ("_low", "_high")  # the ends of an interval


def description(
    study: Run,
    stages: Iterable[str],
    makers: Mapping[str, Run | None],
    models: Mapping[str, Iterable[ModelVersion]],
) -> str:
    """Markdown: the headline numbers, then a line a stage.

    `makers` has None where a run is not known; `models` are those that each stage wrote.
    """
    metrics = study.data.metrics
    numbers = [f"| {name} | {metrics[name]:.5g} |" for name in headlines(metrics)]
    if numbers:
        numbers = ["| number | value |", "| --- | --- |", *numbers, ""]
    lines = ["| stage | run | ended | commit | models | note |", f"|{' --- |' * 6}"]
    for stage in stages:
        links = ", ".join(map(link, models.get(stage, ())))
        if run := makers.get(stage):
            lines.append(row(study, stage, run, links))
        else:
            note = "made, but not logged here" if stage in makers else "not made yet"
            lines.append(f"| {stage} | – | – | – | {links} | {note} |")
    return "\n".join([*numbers, *lines])


def headlines(metrics: Mapping[str, float]) -> list[str]:
    """The names of the numbers of `reports/metrics.json`, without the ends of intervals."""
    return [name for name in metrics if "/" not in name and not name.endswith(NOT_HEADLINES)]


def row(study: Run, stage: str, run: Run, models: str) -> str:
    tags, info = run.data.tags, run.info
    runs = f"#/experiments/{info.experiment_id}/runs"
    parent = tags[mlflow_tags.MLFLOW_PARENT_RUN_ID]
    notes = [tags["error"]] if "error" in tags else []
    if tags.get("made") == ELSEWHERE:
        notes.append("made elsewhere; logged from its committed files")
    if parent != study.info.run_id and "error" not in tags:
        notes.append(f"ran in [another parent run]({runs}/{parent})")
    cells = (
        stage,
        f"[{info.run_id[:7]}]({runs}/{info.run_id})",
        info.status,
        tags.get(mlflow_tags.MLFLOW_GIT_COMMIT, "")[:7],
        models,
        "; ".join(notes).replace("|", "/").replace("\n", " "),
    )
    return f"| {' | '.join(cells)} |"


def link(version: ModelVersion) -> str:
    name = version.name.removeprefix("latent-digits-")
    return f"[{name} {version.version}](#/models/{version.name}/versions/{version.version})"

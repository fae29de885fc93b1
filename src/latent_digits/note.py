"""What a study's page says: which run made each stage's outputs."""

from collections.abc import Iterable, Mapping

from mlflow.entities import Run
from mlflow.utils import mlflow_tags


def table(study: Run, stages: Iterable[str], makers: Mapping[str, Run | None]) -> str:
    """A Markdown table with a line a stage; `makers` has None where a run is not known."""
    lines = ["| stage | run | ended | commit | remark |", "| --- | --- | --- | --- | --- |"]
    for stage in stages:
        if run := makers.get(stage):
            lines.append(row(study, stage, run))
        else:
            remark = "made, but not logged here" if stage in makers else "not made yet"
            lines.append(f"| {stage} | – | – | – | {remark} |")
    return "\n".join(lines)


def row(study: Run, stage: str, run: Run) -> str:
    tags, info = run.data.tags, run.info
    runs = f"#/experiments/{info.experiment_id}/runs"
    parent = tags[mlflow_tags.MLFLOW_PARENT_RUN_ID]
    other = "" if parent == study.info.run_id else f"ran in [another state]({runs}/{parent})"
    cells = (
        stage,
        f"[{info.run_id[:7]}]({runs}/{info.run_id})",
        info.status,
        tags.get(mlflow_tags.MLFLOW_GIT_COMMIT, "")[:7],
        tags.get("error", other).replace("|", "/").replace("\n", " "),
    )
    return f"| {' | '.join(cells)} |"

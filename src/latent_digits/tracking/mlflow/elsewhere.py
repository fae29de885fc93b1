"""What ran elsewhere, from the files that it left here.

In a fresh clone DVC skips what is done, `tune` above all, and this MLflow has no run of it. What
such a run would have said lies in files: parameters and digests in `dvc.lock`, metrics an epoch in
histories, trials in their table, and the models where they are here.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.utils import mlflow_tags

from latent_digits.console import UserError
from latent_digits.data.storage import files_of, read_csv, read_json
from latent_digits.project.provenance import Digests, Study, digest, flatten, git, locked
from latent_digits.tracking.addresses import queue_folder
from latent_digits.tracking.mlflow.note import ELSEWHERE
from latent_digits.tracking.records import (
    EVALUATION,
    HISTORIES,
    METRICS,
    MODELS,
    SPLIT,
    TRIALS,
    VALIDATION,
    dataset,
    detail,
    found_hyperparameters,
    model_entry,
    numbers,
    study_entry,
)
from latent_digits.tracking.upload_queue import RunQueue, draft_queue

Values = dict[str, float]
PACKAGE = Path(__file__).parents[2]


def left_by(study: Study, stage: str, outputs: Digests, run: Run | None) -> RunQueue | None:
    """A queue of what `stage` left here, unless its `run` has all of it.

    Nothing for a stage that ran here. What was logged from its files once is logged again, into the
    same run, when others of them are here than it has: clones that share a server differ in that.
    """
    if run and run.data.tags.get("made") != ELSEWHERE:
        return None
    dependencies = locked(study.lock[stage], "deps")
    here = present(study.folder, outputs | dependencies)
    of_stage = outputs.keys() | {VALIDATION}
    files = here & of_stage
    known = of_stage & {*run.data.tags["files"].split(", ")} if run else set[str]()
    if run and files <= known:
        return None
    if run:  # a shallow clone knows another commit
        commit, when = run.data.tags[mlflow_tags.MLFLOW_GIT_COMMIT], run.info.start_time
    else:
        commit, when = commit_of(study, stage)
    queue = draft_queue(queue_folder(), stage)
    queue.add("study", **study_entry(study))
    queue.add(
        "elsewhere",
        time=when,
        stage=stage,
        outputs=outputs,
        read=dependencies,
        params=dict(flatten(study.parameters(stage)))
        | found_hyperparameters(
            study, {path: md5 for path, md5 in dependencies.items() if path in here}
        ),
        datasets=[
            dataset(study.folder / path, path, md5)
            for path, md5 in dependencies.items()
            if path.startswith(SPLIT) and path in here
        ],
        tags={
            "files": ", ".join(sorted(files | known)) or "none",
            mlflow_tags.MLFLOW_SOURCE_NAME: study.stages[stage]["cmd"],
            mlflow_tags.MLFLOW_GIT_COMMIT: commit,
        },
    )
    for name in sorted(here & outputs.keys()):
        add_file(queue, Path(name), dependencies, here, when)
    queue.publish()
    return queue


def present(folder: Path, digests: Digests) -> set[str]:
    """The paths that are here with these digests."""
    return {
        path
        for path, md5 in digests.items()
        if (folder / path).exists() and digest(folder / path) == md5
    }


def commit_of(study: Study, stage: str) -> tuple[str, int]:
    """The commit that brought the stage's outputs, and when, in ms; without git nothing and now.

    A stage is a millisecond after the one before it, so that they sort as they ran.
    """
    place = list(study.stages).index(stage)
    with suppress(UserError):
        for paths in (study.outputs(stage), ["dvc.lock"]):  # some outputs are not in git
            if found := git(study.folder, "log", "-1", "--format=%H %ct", "--", *paths).split():
                return found[0], int(found[1]) * 1000 + place
    return "", time.time_ns() // 1_000_000 + place


def add_file(queue: RunQueue, path: Path, dependencies: Digests, here: set[str], when: int) -> None:
    """The entries about one output; what it is, its path alone can say here.

    A model needs its history, and images to be tried on; those of a series, a folder, are files.
    """
    if rows := list(history_of(path)):
        queue.add("history", time=when, rows=rows)
    if path.suffix and path.parent == MODELS:
        if {VALIDATION, f"{HISTORIES / path.stem}.csv"} <= here:
            code = queue.attach(PACKAGE)
            entry = model_entry(path, dependencies)
            queue.add("model", time=when, file=queue.attach(path), code=code, **entry)
    elif path.parts[0] == "reports" or path.parent == MODELS:
        name = queue.attach(path)
        queue.add("files", time=when, names=[name])
        if path == TRIALS:
            queue.add("trials", time=when, file=name)


def history_of(path: Path) -> Iterator[tuple[int, Values]]:
    """(step, metrics) under the names that the stage's own run gives them."""
    if path.parent == HISTORIES:
        for file in files_of(path):
            model = file.relative_to(HISTORIES).with_suffix("").as_posix()
            for row in read_csv(file):
                values = {f"{model}.{name}": value for name, value in row.items()}
                yield int(values.pop(f"{model}.epoch")), known(values)
    elif path == TRIALS:
        for row in read_csv(path):
            if values := known({"trial.val_mse": row["val_mse"]}):
                yield int(row["trial"]), values
    elif f"{path}".startswith(SPLIT):
        yield 0, {f"images.{path.stem}": dataset(path, "", "")["images"]}
    elif f"{path}" == METRICS:
        yield 0, numbers(read_json(path))
    elif f"{path}" == EVALUATION:
        yield 0, detail(read_json(path))


def known(values: dict[str, Any]) -> Values:
    return {name: value for name, value in values.items() if value is not None}

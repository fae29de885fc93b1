"""The upload queue into MLflow: in order and once, whenever its server answers.

A version of the study is a parent run, and the stages that ran in it are its children; the trials
of a search have an experiment of their own. Runs are found by keys chosen on this side, and every
other entry may be written twice without a trace: so sending can stop anywhere and be taken up
again.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils import mlflow_tags

from latent_digits.console import say_once
from latent_digits.data.storage import read_json
from latent_digits.project.provenance import Digests, digest_of, flatten
from latent_digits.tracking.addresses import only_one, queue_folder
from latent_digits.tracking.faults import one_line
from latent_digits.tracking.mlflow.digests import digests_of, log_digests
from latent_digits.tracking.mlflow.naming import parent_run_name
from latent_digits.tracking.mlflow.note import ELSEWHERE, description
from latent_digits.tracking.mlflow.registry import register, tag_test_metrics, versions_of
from latent_digits.tracking.mlflow.seed_runs import Seeds
from latent_digits.tracking.mlflow.server import artifacts_location, connect, end_run
from latent_digits.tracking.mlflow.trials import Trials
from latent_digits.tracking.mlflow.view import save_view
from latent_digits.tracking.records import detail, killed_entry, numbers
from latent_digits.tracking.upload_queue import Entry, Kind, RunQueue, left_behind

EXPERIMENT = "latent-digits"
TRIALS = f"{EXPERIMENT} trials"
SEEDS = f"{EXPERIMENT} seeds"
OPENS_AS_TABLE = {"mlflow.experimentKind": "custom_model_development"}  # not as a page for LLMs
# A server's verdict on one entry; everything else that goes wrong may go away by waiting. Of a data
# base that takes nothing just now MLflow says BAD_REQUEST, too.
REFUSED = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"}
CLOSED = re.compile(r"read.?only|denied|privilege", re.IGNORECASE)
CONTEXTS = {"train": "training", "val": "validation", "test": "testing"}


class Sender:
    """A connection to the tracking server. Raises what MLflow raises when there is none."""

    def __init__(self) -> None:
        with only_one("set-up"):  # two processes must not set up one data base
            self.client = connect()
            self.experiment = self.experiment_named(EXPERIMENT)
            self.trials = self.experiment_named(TRIALS)
        self.checked = ""  # the queue whose runs were seen here last
        self.by_kind: dict[Kind, Callable[[RunQueue, Entry], None]] = {
            "study": self.send_study,
            "stage": self.send_stage,
            "elsewhere": self.send_elsewhere,
            "metrics": self.send_metrics,
            "history": self.send_history,
            "files": self.send_files,
            "model": self.send_model,
            "trial": self.send_trial,
            "trials": self.send_trials,
            "end": self.send_end,
        }

    def experiment_named(self, name: str) -> str:
        """The id of an experiment, made where there is none."""
        if found := self.client.get_experiment_by_name(name):
            return found.experiment_id
        return self.client.create_experiment(name, artifacts_location(), OPENS_AS_TABLE)

    def require_permission(self) -> None:
        """Raise what MLflow raises where this user may not write: a tag, as it is already."""
        for name, value in OPENS_AS_TABLE.items():
            self.client.set_experiment_tag(self.experiment, name, value)

    def seeds(self) -> Seeds:
        """Where the study under further seeds is logged; not there before there is one."""
        with only_one("set-up"):
            return Seeds(self.client, self.experiment_named(SEEDS))

    def send_left_behind(self) -> None:
        """Send what earlier processes could not, in their order. One that died is KILLED."""
        for queue in left_behind(queue_folder()):
            try:
                stage = queue.first("stage")
                if stage and not queue.first("end"):
                    queue.add("end", **killed_entry(stage["stage"]))
                self.send(queue)
                queue.remove()
            finally:
                queue.close()

    def send(self, queue: RunQueue) -> None:
        """Send all entries that were not sent yet; to another server than before, all of them."""
        if self.checked != queue.folder.name and not self.has_runs(queue):
            queue.rewind()
        self.checked = queue.folder.name
        for entry in queue.unsent():
            try:
                self.by_kind[entry["kind"]](queue, entry)
            except MlflowException as error:
                kind = entry["kind"]
                if error.error_code not in REFUSED or kind in ("study", "stage"):
                    raise
                if CLOSED.search(str(error)) or not self.has_runs(queue):  # it is the server
                    raise
                say_once(f"mlflow: refused {kind} of {queue.folder.name}: {one_line(error)}")
            queue.sent()

    def has_runs(self, queue: RunQueue) -> bool:
        """Whether this server has the runs that the queue was sent to, in its trash perhaps."""
        wanted = {*queue.ids.values()}
        if not wanted:
            return True
        query = f"attributes.run_id IN ({', '.join(repr(one) for one in sorted(wanted))})"
        found = self.client.search_runs([self.experiment], query, ViewType.ALL)
        return {run.info.run_id for run in found} == wanted

    # One method for each kind of entry.

    def send_study(self, queue: RunQueue, entry: Entry) -> None:
        """The parent run of a version of the study, made by whichever process comes first."""
        run = self.find(self.experiment, study=entry["state"]) or self.client.create_run(
            self.experiment, entry["time"], entry["tags"], self.name_of(entry)
        )
        queue.ids["study"] = queue.ids["run"] = run.info.run_id
        self.log_params(run.info.run_id, entry["params"])
        log_digests(self.client, run.info.run_id, {"read": read_of(entry)})

    def name_of(self, entry: Entry) -> str:
        """A new parent run's name, by what is other than in the one that was logged before it."""
        before = next(iter(self.parent_runs(1)), None)
        tags = entry["tags"]
        return parent_run_name(
            tags[mlflow_tags.MLFLOW_GIT_COMMIT],
            tags["git.dirty"] == "true",
            entry["params"],
            read_of(entry),
            before.data.params if before else {},
            digests_of(self.client, before)["read"] if before else {},
        )

    def send_stage(self, queue: RunQueue, entry: Entry) -> None:
        """The run of one stage, under that of the study, which is running now as well."""
        key, study = queue.folder.name, queue.ids["study"]
        tags = entry["tags"] | {"upload": key, mlflow_tags.MLFLOW_PARENT_RUN_ID: study}
        run = self.find(self.experiment, upload=key) or self.client.create_run(
            self.experiment, entry["time"], tags, entry["stage"]
        )
        queue.ids["run"] = run.info.run_id
        self.client.update_run(study, "RUNNING")
        self.log_params(run.info.run_id, entry["params"])
        self.log_datasets(run.info.run_id, entry["datasets"])
        log_digests(self.client, run.info.run_id, {"read": read_of(entry)})

    def send_elsewhere(self, queue: RunQueue, entry: Entry) -> None:
        """The run of a stage that ran elsewhere, as it ended; what it made follows."""
        stage, study = entry["stage"], queue.ids["study"]
        outputs = digest_of(entry["outputs"])
        own = {"stage": stage, "outputs": outputs, "made": ELSEWHERE}
        run = self.find(self.experiment, **own) or self.client.create_run(
            self.experiment,
            entry["time"],
            own | entry["tags"] | {mlflow_tags.MLFLOW_PARENT_RUN_ID: study},
            stage,
        )
        queue.ids["run"] = run_id = run.info.run_id
        self.log_params(run_id, entry["params"])
        self.log_datasets(run_id, entry["datasets"])
        self.log_tags(run_id, entry["tags"] | out_tags(entry["outputs"]))
        log_digests(self.client, run_id, {"read": entry["read"], "wrote": entry["outputs"]})
        end_run(self.client, run, "FINISHED", entry["time"])

    def send_metrics(self, queue: RunQueue, entry: Entry) -> None:
        self.log_metrics(queue.ids["run"], entry["values"], entry["time"], entry["step"])

    def send_history(self, queue: RunQueue, entry: Entry) -> None:
        """Metrics of many steps at once."""
        points = (
            Metric(name, float(value), entry["time"], step)
            for step, values in entry["rows"]
            for name, value in values.items()
        )
        for batch in batches(points, 1000):  # as many as a request may hold
            self.client.log_batch(queue.ids["run"], metrics=batch)

    def send_files(self, queue: RunQueue, entry: Entry) -> None:
        """Files, and a look whether it is MLflow still: a gateway's page takes files as well."""
        for path in map(queue.attachment, entry["names"]):
            if path.is_dir():
                self.client.log_artifacts(queue.ids["run"], str(path), path.name)
            else:
                self.client.log_artifact(queue.ids["run"], str(path))
        self.client.get_run(queue.ids["run"])

    def send_model(self, queue: RunQueue, entry: Entry) -> None:
        weights, code = queue.attachment(entry["file"]), queue.attachment(entry["code"])
        register(self.client, queue.ids["run"], weights, code, entry)

    def send_trial(self, queue: RunQueue, entry: Entry) -> None:
        self.trials_of(queue).log(entry["row"], entry["time"])

    def send_trials(self, queue: RunQueue, entry: Entry) -> None:
        """A run for each row of the search's table."""
        trials = self.trials_of(queue)
        with queue.attachment(entry["file"]).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                trials.log(row, entry["time"])

    def trials_of(self, queue: RunQueue) -> Trials:
        study = queue.first("study")["state"]
        return Trials(self.client, self.trials, study, queue.ids["run"])

    def send_end(self, queue: RunQueue, entry: Entry) -> None:
        """How a stage ended and with it, for now, the study; then what the study holds."""
        run, study = queue.ids["run"], queue.ids["study"]
        tags = out_tags(entry["outputs"])
        if entry["outputs"]:
            tags["outputs"] = digest_of(entry["outputs"])
        if entry["error"]:
            tags["error"] = entry["error"]
        self.log_tags(run, tags)
        if run != study:
            kinds = {"read": read_of(queue.first("stage")), "wrote": entry["outputs"]}
            log_digests(self.client, run, kinds)
        for one in map(self.client.get_run, {run, study}):
            if one.info.status != entry["status"]:
                end_run(self.client, one, entry["status"], entry["time"])
        self.link(queue, entry)

    def link(self, queue: RunQueue, entry: Entry) -> None:
        """Tell the study which run made each stage's outputs, and give it the results.

        What DVC skipped, or restored, ran in another parent run.
        """
        study = self.client.get_run(queue.ids["study"])
        makers = {stage: self.maker_of(stage, outputs) for stage, outputs in entry["made"].items()}
        if entry["stage"] and entry["status"] != "FINISHED":
            makers[entry["stage"]] = self.client.get_run(queue.ids["run"])
        models = {
            stage: versions_of(self.client, outputs) for stage, outputs in entry["made"].items()
        }
        versions = [version for found in models.values() for version in found]
        links = {f"stage.{stage}": run.info.run_id if run else "" for stage, run in makers.items()}
        new = links | {
            "made": digest_of(entry["made"]),
            "models": ", ".join(f"{one.name}/{one.version}" for one in versions),
        }
        if new.items() <= study.data.tags.items():
            return
        results = {Path(name).name: queue.attachment(name) for name in entry["results"]}
        self.log_results(study, results, versions)
        self.log_models(study, versions)
        inputs = [run.inputs for run in makers.values() if run and run.inputs]
        datasets = [dataset for one in inputs for dataset in one.dataset_inputs]
        self.client.log_inputs(study.info.run_id, datasets)
        stages = queue.first("study")["stages"]
        for stage in stages:
            if stage not in makers and (known := study.data.tags.get(f"stage.{stage}")):
                makers[stage] = self.client.get_run(known)
        now = self.client.get_run(study.info.run_id)
        note = description(now, stages, makers, models)
        self.log_tags(study.info.run_id, new | {mlflow_tags.MLFLOW_RUN_NOTE: note})
        save_view(self.client, self.experiment, self.parent_runs())

    def log_results(
        self, study: Run, results: Mapping[str, Path], versions: Iterable[ModelVersion]
    ) -> None:
        """The final metrics, and the generated report; sent again, the same points."""
        run_id, time = study.info.run_id, study.info.start_time
        found = {name: read_json(path) for name, path in results.items() if path.suffix == ".json"}
        values = numbers(found.get("metrics.json", {})) | detail(found.get("evaluation.json", {}))
        if values:
            self.log_metrics(run_id, values, time, 0)
        for name in found:
            self.client.log_artifact(run_id, str(results[name]))
        for groups in found.values():  # numbers of a model stand under its name, in either file
            tag_test_metrics(self.client, versions, groups)
        if report := results.get("report.html"):
            self.client.log_artifact(run_id, str(report))

    def log_models(self, study: Run, versions: Iterable[ModelVersion]) -> None:
        """The models of the study's stages are its own as well."""
        known = {one.model_id for one in study.outputs.model_outputs} if study.outputs else set()
        # A version's own `model_id` does not come back from a data base (MLflow 3.17).
        new = {f"{one.source}".removeprefix("models:/") for one in versions} - known
        models = [LoggedModelOutput(model_id, step=0) for model_id in sorted(new)]
        if models:  # a server refuses none
            self.client.log_outputs(study.info.run_id, models)

    # What they are made of.

    def find(self, experiment: str, **tags: str) -> Run | None:
        """The latest run that has all `tags`."""
        query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        found = self.client.search_runs([experiment], query, max_results=1)
        return found[0] if found else None

    def parent_runs(self, most: int = 100) -> list[Run]:
        """The latest parent runs, the latest first."""
        return list(
            self.client.search_runs([self.experiment], "tags.study != ''", max_results=most)
        )

    def maker_of(self, stage: str, outputs: Digests) -> Run | None:
        """The latest run of `stage` that wrote just these outputs."""
        return self.find(self.experiment, stage=stage, outputs=digest_of(outputs))

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        flat = (Param(name, str(value)) for name, value in flatten(params))
        for batch in batches(flat, 100):  # as many as a request may hold
            self.client.log_batch(run_id, params=batch)

    def log_metrics(self, run_id: str, values: Mapping[str, float], time: int, step: int) -> None:
        flat = [Metric(name, float(value), time, step) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=flat)

    def log_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.client.log_batch(run_id, tags=[RunTag(k, v[:8000]) for k, v in tags.items()])

    def log_datasets(self, run_id: str, datasets: Iterable[Mapping[str, Any]]) -> None:
        inputs = [
            DatasetInput(
                Dataset(
                    name=f"{one['set'].lower()}-{one['name']}",
                    digest=one["md5"],
                    source_type="local",
                    source=json.dumps({"uri": one["path"]}),
                    profile=json.dumps({"num_rows": one["images"]}),
                ),
                [InputTag(mlflow_tags.MLFLOW_DATASET_CONTEXT, CONTEXTS[one["name"]])],
            )
            for one in datasets
        ]
        self.client.log_inputs(run_id, inputs)


def out_tags(outputs: Digests) -> dict[str, str]:
    """By which a file's run is found."""
    return {f"out.{path}": md5 for path, md5 in outputs.items()}


def read_of(entry: Entry) -> Digests:
    """What a study or a stage read; an entry that an earlier version left in the queue lacks it."""
    return entry.get("read", {})


def batches(values: Iterable[Any], most: int) -> Iterator[list[Any]]:
    rest = iter(values)
    while batch := list(islice(rest, most)):
        yield batch

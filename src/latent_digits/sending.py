"""Journals into MLflow: in order and once, whenever its server answers.

A state of the study is a run; the stages that ran in it are its children; the trials of a search
have an experiment of their own. Runs are found by keys chosen on this side, and every other entry
may be written twice without a trace: so sending can stop anywhere and be taken up again.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils import mlflow_tags

from latent_digits.addresses import data_base, journals, one_line, only_one
from latent_digits.console import say
from latent_digits.design import Design
from latent_digits.journal import Entry, Journal, left_behind
from latent_digits.note import table
from latent_digits.page import page
from latent_digits.provenance import digest_of, flatten
from latent_digits.records import killed_entry
from latent_digits.registry import register
from latent_digits.server import artifacts_of, connect
from latent_digits.storage import read_json

EXPERIMENT = "latent-digits"
TRIALS = f"{EXPERIMENT} trials"
OPENS_AS_TABLE = {"mlflow.experimentKind": "custom_model_development"}  # not as a page for LLMs
# A server's verdict on one entry; everything else that goes wrong may be mended by waiting.
REFUSED = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"}
CONTEXTS = {"train": "training", "val": "validation", "test": "testing"}
# A search's trials, as MLflow says that they ended; the tag `state` has the exact word.
STATUS = {"complete": "FINISHED", "collapsed": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


class Sender:
    """A connection to the tracking server. Raises what MLflow raises when there is none."""

    def __init__(self) -> None:
        with only_one("set-up"):  # two processes must not set up one data base
            self.client = connect()
            self.experiment = self.experiment_named(EXPERIMENT)
            self.trials = self.experiment_named(TRIALS)

    def experiment_named(self, name: str) -> str:
        """The id of an experiment; artifacts of a local data base lie beside it."""
        if found := self.client.get_experiment_by_name(name):
            return found.experiment_id
        file = data_base()
        location = artifacts_of(file).as_uri() if file else None
        return self.client.create_experiment(name, location, OPENS_AS_TABLE)

    def send_left_behind(self) -> None:
        """Send what earlier processes could not, in their order. One that died is KILLED."""
        for journal in left_behind(journals()):
            try:
                stage = journal.first("stage")
                if stage and not journal.first("end"):
                    journal.add("end", **killed_entry(stage["stage"]))
                self.send(journal)
                journal.remove()
            finally:
                journal.close()

    def send(self, journal: Journal) -> None:
        """Send all entries that were not sent yet."""
        for entry in journal.unsent():
            try:
                getattr(self, f"send_{entry['kind']}")(journal, entry)
            except MlflowException as error:
                if error.error_code not in REFUSED or entry["kind"] in ("study", "stage"):
                    raise
                say(f"mlflow: refused {entry['kind']} of {journal.folder.name}: {one_line(error)}")
            journal.sent()

    # One method for each kind of entry.

    def send_study(self, journal: Journal, entry: Entry) -> None:
        """The run of a state of the study, made by whichever process comes first."""
        state = entry["state"]
        run = self.find(self.experiment, study=state) or self.client.create_run(
            self.experiment, entry["time"], entry["tags"], f"study {state[:7]}"
        )
        journal.ids["study"] = journal.ids["run"] = run.info.run_id
        self.log_params(run.info.run_id, entry["params"])

    def send_stage(self, journal: Journal, entry: Entry) -> None:
        """The run of one stage, under that of the study, which is running now as well."""
        key, study = journal.folder.name, journal.ids["study"]
        tags = entry["tags"] | {"journal": key, mlflow_tags.MLFLOW_PARENT_RUN_ID: study}
        run = self.find(self.experiment, journal=key) or self.client.create_run(
            self.experiment, entry["time"], tags, entry["stage"]
        )
        journal.ids["run"] = run.info.run_id
        self.client.update_run(study, "RUNNING")
        self.log_params(run.info.run_id, entry["params"])
        self.log_datasets(run.info.run_id, entry["datasets"])

    def send_metrics(self, journal: Journal, entry: Entry) -> None:
        self.log_metrics(journal.ids["run"], entry["values"], entry["time"], entry["step"])

    def send_files(self, journal: Journal, entry: Entry) -> None:
        for path in map(journal.kept, entry["names"]):
            if path.is_dir():
                self.client.log_artifacts(journal.ids["run"], str(path), path.name)
            else:
                self.client.log_artifact(journal.ids["run"], str(path))

    def send_model(self, journal: Journal, entry: Entry) -> None:
        weights, code = journal.kept(entry["file"]), journal.kept(entry["code"])
        register(self.client, journal.ids["run"], weights, code, entry)

    def send_trials(self, journal: Journal, entry: Entry) -> None:
        """A run for each row of the search's table: its design, its values, how it ended."""
        search = journal.ids["run"]
        query = f"tags.search = '{search}'"
        known = self.client.search_runs([self.trials], query, max_results=50_000)
        begun = {run.data.tags["trial"]: run for run in known}
        with journal.kept(entry["file"]).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            run = begun.get(row["trial"])
            if run and run.info.status != "RUNNING":
                continue
            tags = {"search": search, "trial": row["trial"], "state": row["state"]}
            run = run or self.client.create_run(
                self.trials, entry["time"], tags, f"trial {row['trial']}"
            )
            values = [
                Metric("val_mse", float(row[f"val_mse_{epoch}"]), entry["time"], epoch)
                for epoch in range(1, int(row["epochs"]) + 1)
            ]
            if row.get("live_units"):  # which a table of an earlier version lacks
                values.append(Metric("live_units", float(row["live_units"]), entry["time"], 0))
            design = [Param(field.name, row[field.name]) for field in fields(Design)]
            self.client.log_batch(run.info.run_id, values, design)
            self.client.set_terminated(run.info.run_id, STATUS[row["state"]], entry["time"])

    def send_end(self, journal: Journal, entry: Entry) -> None:
        """How a stage ended and with it, for now, the study; then what the study holds."""
        run, study = journal.ids["run"], journal.ids["study"]
        tags = {f"out.{path}": md5 for path, md5 in entry["outputs"].items()}
        if entry["outputs"]:
            tags["outputs"] = digest_of(entry["outputs"])
        if entry["error"]:
            tags["error"] = entry["error"]
        self.log_tags(run, tags)
        for one in {run, study}:
            if self.client.get_run(one).info.status != entry["status"]:
                self.client.set_terminated(one, entry["status"], entry["time"])
        self.link(journal, entry)

    def link(self, journal: Journal, entry: Entry) -> None:
        """Tell the study which run made each stage's outputs, and give it the results.

        What DVC skipped, or restored, ran in another state.
        """
        study = self.client.get_run(journal.ids["study"])
        makers = {
            stage: self.find(self.experiment, stage=stage, outputs=digest_of(outputs))
            for stage, outputs in entry["made"].items()
        }
        if entry["stage"] and entry["status"] != "FINISHED":
            makers[entry["stage"]] = self.client.get_run(journal.ids["run"])
        links = {f"stage.{stage}": run.info.run_id if run else "" for stage, run in makers.items()}
        new = links | {"made": digest_of(entry["made"])}
        if new.items() <= study.data.tags.items():
            return
        self.log_results(study, {Path(name).name: journal.kept(name) for name in entry["results"]})
        inputs = [run.inputs for run in makers.values() if run and run.inputs]
        datasets = [dataset for one in inputs for dataset in one.dataset_inputs]
        self.client.log_inputs(study.info.run_id, datasets)
        stages = journal.first("study")["stages"]
        for stage in stages:
            if stage not in makers and (known := study.data.tags.get(f"stage.{stage}")):
                makers[stage] = self.client.get_run(known)
        note = table(study, stages, makers)
        self.log_tags(study.info.run_id, new | {mlflow_tags.MLFLOW_RUN_NOTE: note})

    def log_results(self, study: Run, results: Mapping[str, Path]) -> None:
        """The final metrics, and the report as a page; sent again, they are the same points."""
        if metrics := results.get("metrics.json"):
            values = dict(flatten(read_json(metrics)))
            self.log_metrics(study.info.run_id, values, study.info.start_time, 0)
            self.client.log_artifact(study.info.run_id, str(metrics))
        if report := results.get("report.md"):
            self.client.log_text(study.info.run_id, page(report), "report.html")

    # What they are made of.

    def find(self, experiment: str, **tags: str) -> Run | None:
        """The latest run that has all `tags`."""
        query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        found = self.client.search_runs([experiment], query, max_results=1)
        return found[0] if found else None

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        flat = [Param(name, str(value)) for name, value in flatten(params)]
        for start in range(0, len(flat), 100):  # as many as a request may hold
            self.client.log_batch(run_id, params=flat[start : start + 100])

    def log_metrics(self, run_id: str, values: Mapping[str, float], time: int, step: int) -> None:
        flat = [Metric(name, float(value), time, step) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=flat)

    def log_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.client.log_batch(run_id, tags=[RunTag(k, v[:8000]) for k, v in tags.items()])

    def log_datasets(self, run_id: str, datasets: Iterable[Mapping[str, Any]]) -> None:
        inputs = [
            DatasetInput(
                Dataset(
                    name=f"mnist-{one['name']}",
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

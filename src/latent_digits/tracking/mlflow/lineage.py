"""From a file, a run or a model to all that belongs to it: commit, parameters, data, bytes."""

import re
import tempfile
from collections.abc import Iterator
from datetime import datetime
from os.path import relpath
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils import mlflow_tags

from latent_digits.console import UserError
from latent_digits.project.provenance import digest, read_study
from latent_digits.tracking.addresses import place, workspace
from latent_digits.tracking.mlflow.digests import digests_of
from latent_digits.tracking.mlflow.note import ELSEWHERE
from latent_digits.tracking.mlflow.registry import champion_of, versions_of
from latent_digits.tracking.mlflow.server import connect

ROOM = 88  # characters, of the 100 of a line


class Lineage:
    """Questions to MLflow about what was made from what."""

    def __init__(self) -> None:
        self.client = connect()
        self.folder = workspace()

    def runs_of(self, thing: str) -> list[Run]:
        """The stages' runs behind a file, a run or a model. Raises UserError without one."""
        if thing.startswith("models:/"):
            return [self.client.get_run(f"{self.version_at(thing).run_id}")]
        if re.fullmatch(r"[0-9a-f]{32}", thing):
            return self.stages_of(self.client.get_run(thing))
        if (self.folder / thing).exists():
            return [self.maker_of(thing)]
        if self.output_of(thing):
            raise UserError(
                f"{thing} is not here; `dvc pull` fetches it where a DVC remote has it, "
                "`make repro` makes it."
            )
        raise UserError(
            f"{thing} is no file here, no run's id (32 hexadecimal digits), and no model's address "
            "(models:/NAME@ALIAS or models:/NAME/VERSION)."
        )

    def version_at(self, address: str) -> ModelVersion:
        if match := re.fullmatch(r"models:/([^@/]+)@(.+)", address):
            return self.client.get_model_version_by_alias(*match.groups())
        if match := re.fullmatch(r"models:/([^@/]+)/(\d+)", address):
            return self.client.get_model_version(*match.groups())
        raise UserError(f"{address} is not of the form models:/NAME@ALIAS or models:/NAME/VERSION.")

    def stages_of(self, run: Run) -> list[Run]:
        """A stage's run itself; of a parent run, all stages'; of a trial, its search's."""
        tags = run.data.tags
        if "stage" in tags:
            return [run]
        if "search" in tags:
            return [self.client.get_run(tags["search"])]
        linked = [value for name, value in tags.items() if name.startswith("stage.") and value]
        if not linked:
            raise UserError(f"run {run.info.run_id} is of no stage of this study.")
        runs = [self.client.get_run(one) for one in linked]
        return sorted(runs, key=lambda one: one.info.start_time)

    def maker_of(self, path: str) -> Run:
        """The latest run that wrote a file as it is now, by itself or in a folder."""
        name = self.output_of(path) or relpath(path, self.folder)
        md5 = digest(self.folder / name)
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        query = f"tags.`out.{name}` = '{md5}'"
        found = self.client.search_runs(experiments, query, max_results=1)
        if not found:
            raise UserError(
                f"no run at {place()} wrote {name} as it is now (md5 {md5}). Was it made "
                "elsewhere, or changed by hand? `make sync` logs what was made elsewhere, and what "
                "waits to be sent."
            )
        return found[0]

    def output_of(self, path: str) -> str:
        """The output that a path names or lies in; "" where it is of none."""
        name = relpath(path, self.folder)  # does not follow links, as into a cache of DVC's
        outputs = read_study(self.folder).makers
        return next((one for one in outputs if f"{name}/".startswith(f"{one}/")), "")

    def describe(self, run: Run, files: bool) -> Iterator[str]:
        """The lines about one stage's run; with `files` every parameter and digest has its own."""
        tags, info = run.data.tags, run.info
        when = datetime.fromtimestamp(info.start_time / 1000).astimezone()
        dirty = " and changes that no commit has" if tags.get("git.dirty") == "true" else ""
        elsewhere = ", made elsewhere" if tags.get("made") == ELSEWHERE else ""
        study = self.client.get_run(tags[mlflow_tags.MLFLOW_PARENT_RUN_ID]).info
        commit = tags.get(mlflow_tags.MLFLOW_GIT_COMMIT) or "none"
        data = [one.dataset.name for one in run.inputs.dataset_inputs] if run.inputs else []
        params = [f"{name} = {value}" for name, value in sorted(run.data.params.items())]
        kinds = digests_of(self.client, run)
        yield f"{tags['stage']}"
        yield f"  run      {info.run_id}  {info.status}, {when:%Y-%m-%d %H:%M}{elsewhere}"
        yield f"  study    {study.run_id}  {study.run_name}"
        yield f"  commit   {commit}{dirty}"
        if data:
            yield f"  data     {', '.join(data)}"
        if params and not files:
            yield f"  params   {fitting(params)}"
        if models := [self.shown(version) for version in self.models_of(run)]:
            yield f"  models   {', '.join(models)}"
        counts = f"{len(kinds['read'])} read, {len(kinds['wrote'])} written"
        yield f"  files    {counts}" + ("" if files else "; --files lists them")
        if files:
            yield from (f"  param    {param}" for param in params)
            for kind in ("read", "wrote"):
                for path, md5 in sorted(kinds[kind].items()):
                    yield f"  {kind:<8} {md5}  {path}"

    def models_of(self, run: Run) -> list[ModelVersion]:
        """The models whose weights the run wrote, though another run may have registered them."""
        return versions_of(self.client, digests_of(self.client, run)["wrote"])

    def shown(self, version: ModelVersion) -> str:
        champion = champion_of(self.client, version.name)
        alias = " (champion)" if champion and champion.version == version.version else ""
        return f"models:/{version.name}/{version.version}{alias}"

    def faults(self, run: Run) -> Iterator[str]:
        """What is not as the run left it: files here, and the weights of its models there."""
        kinds = digests_of(self.client, run)
        for path, md5 in (kinds["read"] | kinds["wrote"]).items():
            file = self.folder / path
            if not file.exists():
                yield f"{path} is missing here; the run has {md5}"
            elif (found := digest(file)) != md5:
                yield f"{path} is {found} here; the run has {md5}"
        for version in self.models_of(run):
            address = f"models:/{version.name}/{version.version}"
            if (found := self.digest_of_weights(address)) != version.tags["weights"]:
                yield f"{address} holds weights {found}; the run has {version.tags['weights']}"

    def digest_of_weights(self, address: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            download_artifacts(f"{address}/artifacts", dst_path=folder)
            found = [digest(path) for path in Path(folder).rglob("*.safetensors")]
            return found[0] if found else "none"


def fitting(params: list[str]) -> str:
    """As many of them as a line has room for, and how many more there are."""
    for count in range(len(params), 0, -1):
        rest = f" and {len(params) - count} more" if count < len(params) else ""
        line = ", ".join(params[:count]) + rest
        if len(line) <= ROOM:
            return line
    return f"{len(params)}"

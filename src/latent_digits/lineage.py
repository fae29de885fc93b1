"""From a file, a run or a model to all that belongs to it: commit, stage, parameters, data, bytes.

    python -m latent_digits.lineage FILE | RUN_ID | models:/NAME@ALIAS | models:/NAME/VERSION

With `--verify` every file is hashed again, and what does not match is said; the exit status is 1.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils import mlflow_tags

from latent_digits.addresses import one_line, place, workspace
from latent_digits.console import UserError, run_stage
from latent_digits.provenance import Digests, digest
from latent_digits.registry import champion_of
from latent_digits.server import connect


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
        """A stage's run itself; of a state of the study, all stages'; of a trial, its search's."""
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
        """The latest run that wrote a file as it is now."""
        name = (self.folder / path).resolve().relative_to(self.folder).as_posix()
        md5 = digest(self.folder / name)
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        query = f"tags.`out.{name}` = '{md5}'"
        found = self.client.search_runs(experiments, query, max_results=1)
        if not found:
            raise UserError(
                f"no run at {place()} wrote {name} as it is now (md5 {md5}). Was it made "
                "elsewhere, or changed by hand? `make sync` sends runs that wait."
            )
        return found[0]

    def versions_of(self, run: Run) -> list[ModelVersion]:
        """The models whose weights the run wrote, though another run may have registered them."""
        written = digests(run, "out.")
        weights = [md5 for path, md5 in written.items() if path.endswith(".safetensors")]
        return [
            version
            for md5 in weights
            for version in self.client.search_model_versions(f"tags.weights = '{md5}'")
        ]

    def describe(self, run: Run) -> Iterator[str]:
        """The lines about one stage's run."""
        tags, info = run.data.tags, run.info
        when = datetime.fromtimestamp(info.start_time / 1000).astimezone()
        dirty = " and changes that no commit has" if tags.get("git.dirty") == "true" else ""
        yield f"{tags['stage']}"
        yield f"  run      {info.run_id}  {info.status}, {when:%Y-%m-%d %H:%M}"
        yield f"  study    {tags[mlflow_tags.MLFLOW_PARENT_RUN_ID]}"
        yield f"  commit   {tags.get(mlflow_tags.MLFLOW_GIT_COMMIT) or 'none'}{dirty}"
        for dataset in [one.dataset for one in run.inputs.dataset_inputs] if run.inputs else []:
            yield f"  data     {dataset.digest}  {dataset.name}"
        for name, value in sorted(run.data.params.items()):
            yield f"  param    {name} = {value}"
        for version in self.versions_of(run):
            champion = champion_of(self.client, version.name)
            alias = ", champion" if champion and champion.version == version.version else ""
            yield f"  model    models:/{version.name}/{version.version}{alias}"
        for kind, prefix in (("read", "dep."), ("wrote", "out.")):
            for path, md5 in digests(run, prefix).items():
                yield f"  {kind:<8} {md5}  {path}"

    def faults(self, run: Run) -> Iterator[str]:
        """What is not as the run left it: files here, and the weights of its models there."""
        for path, md5 in (digests(run, "dep.") | digests(run, "out.")).items():
            file = self.folder / path
            if not file.exists():
                yield f"{path} is missing here; the run has {md5}"
            elif (found := digest(file)) != md5:
                yield f"{path} is {found} here; the run has {md5}"
        for version in self.versions_of(run):
            address = f"models:/{version.name}/{version.version}"
            if (found := self.digest_of_weights(address)) != version.tags["weights"]:
                yield f"{address} holds weights {found}; the run has {version.tags['weights']}"

    def digest_of_weights(self, address: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            download_artifacts(f"{address}/artifacts", dst_path=folder)
            found = [digest(path) for path in Path(folder).rglob("*.safetensors")]
            return found[0] if found else "none"


def digests(run: Run, prefix: str) -> Digests:
    """The digests that a run's tags hold: "dep." what it read, "out." what it wrote."""
    tags = sorted(run.data.tags.items())
    return {name.removeprefix(prefix): md5 for name, md5 in tags if name.startswith(prefix)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="lineage", description="What was made from what.")
    parser.add_argument("thing", metavar="FILE | RUN_ID | models:/NAME@ALIAS")
    parser.add_argument("--verify", action="store_true", help="hash all files again")
    arguments = parser.parse_args()
    try:
        lineage = Lineage()
        runs = lineage.runs_of(arguments.thing)
        for run in runs:
            print("\n".join(lineage.describe(run)))
        if not arguments.verify:
            return
        faults = sorted({fault for run in runs for fault in lineage.faults(run)})
    except UserError:
        raise
    except Exception as error:  # MLflow's, its data base's, its HTTP client's
        raise UserError(f"{place()} cannot say: {one_line(error)}.") from None
    print("\n".join([*faults, f"verified: {len(faults)} do not match"]))
    sys.exit(bool(faults))


if __name__ == "__main__":
    run_stage(main)

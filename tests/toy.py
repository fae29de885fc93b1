"""A study of four stages that take no time, for tests of what is logged; see `toy_project`.

Each stage writes a digest of what it read into its output. No server is asked: the queues stay,
for the test to send.
"""

import json
import os
import signal
import sys
from pathlib import Path

import yaml

from latent_digits.console import UserError, run_stage
from latent_digits.project.provenance import digest, digest_of
from latent_digits.tracking import stage_run as tracking
from latent_digits.tracking.stage_run import stage_run

PIPELINE = """
stages:
  prepare:
    cmd: python toy.py prepare
    params: [seed]
    outs: [data/split.txt]
  finetune:
    cmd: python toy.py finetune
    deps: [data/split.txt]
    params: [seed, finetune]
    outs: [data/model.txt]
  evaluate:
    cmd: python toy.py evaluate
    deps: [data/model.txt, code.txt]
    params: [seed]
    metrics: [reports/metrics.json: {cache: false}]
  plot:
    cmd: python toy.py plot
    deps: [reports/metrics.json]
    params: [plot]
    outs: [reports/report.html: {cache: false}]
"""
STRANGE = "My%20Project #1? é 'q' \"d\""  # a folder's name, with all that addresses quote
PARAMS = {"seed": 1, "finetune": {"lr": 0.1}, "plot": {"dpi": 100}}


def toy_project(folder: Path) -> Path:
    """The toy study in `folder`, not run yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (folder / "code.txt").write_text("version 1")
    (folder / "toy.py").write_text(Path(__file__).read_text())
    return folder


def main() -> None:
    stage = sys.argv[1]
    params = yaml.safe_load(Path("params.yaml").read_text())
    about = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]
    with stage_run(stage, {name: params[name] for name in about["params"]}) as run:
        if params["finetune"]["lr"] > 1 and stage == "finetune":
            raise UserError("the loss is not finite; lower the learning rate.")
        if params["finetune"]["lr"] < 0 and stage == "finetune":
            os.kill(os.getpid(), signal.SIGKILL)
        read = [digest(Path(path)) for path in about.get("deps", [])]
        found = digest_of([read, [params[name] for name in about["params"]]])
        output = run.study.outputs(stage)[0]
        Path(output).parent.mkdir(exist_ok=True)
        is_metrics = output.endswith(".json")
        Path(output).write_text(
            json.dumps({"ae": {"mse": int(found[:6], 16)}}) if is_metrics else found
        )
        run.metrics({"steps": 1})
        run.files(Path(output))


def refuse() -> None:
    raise ConnectionError("this test sends later")


if __name__ == "__main__":
    tracking.connected = refuse
    run_stage(main)

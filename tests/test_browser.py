"""What a person sees on MLflow's pages, in a real browser; skipped where there is none."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from latent_digits.project.provenance import read_study
from latent_digits.tracking.stage_run import stage_run
from registry import Registry
from servers import TrackingServer
from smoke import PROJECT
from toy import PARAMS, toy_project

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, at import and in its models
    pytest.mark.skipif(not BROWSER, reason="no chromium here; Debian has it as a package"),
]
SECONDS = 30_000  # ms that a page may take to show something


def log_parent_run(project: Path, lr: float, mse: float) -> str:
    """Log a parent run of the toy study that ran from its first stage; returns its run's id."""
    (project / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"finetune": {"lr": lr}}))
    contents = {
        "prepare": "split",
        "finetune": f"a model of learning rate {lr}",
        "evaluate": json.dumps({"ae": {"mse": mse}}),
        "plot": f"<!doctype html><h1>The report</h1><p>The error is {mse}.</p>",
    }
    lock: dict[str, Any] = {}
    for stage, content in contents.items():
        with stage_run(stage, {"lr": lr}) as run:
            (output,) = run.study.outputs(stage)
            (project / output).parent.mkdir(exist_ok=True)
            (project / output).write_text(content)
        study = read_study(project)
        lock[stage] = {
            "cmd": study.stages[stage]["cmd"],
            "deps": listed(study.digests(study.dependencies(stage))),
            "params": {"params.yaml": study.parameters(stage)},
            "outs": listed(study.digests([output])),
        }
        (project / "dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    from latent_digits.tracking.mlflow.sender import Sender

    sender = Sender()
    return sender.find(sender.experiment, study=read_study(project).fingerprint).info.run_id


def printed(server: str) -> dict[str, str]:
    """What `make ui` says to open where a server runs already."""
    done = subprocess.run(
        [sys.executable, "-m", "latent_digits.commands.ui", "5000"],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src"), "MLFLOW_TRACKING_URI": server},
        capture_output=True,
        text=True,
        check=True,
    )
    head, *lines = done.stdout.splitlines()
    assert head == f"{server} is a server already. Open there:"
    return {
        what.strip(): address.strip() for what, address in (line.split(": ", 1) for line in lines)
    }


def listed(digests: dict[str, str]) -> list[dict[str, str]]:
    return [{"path": path, "md5": md5} for path, md5 in digests.items()]


class Pages:
    """A browser on the pages of a tracking server that knows two parent runs and a model."""

    def __init__(self, page: Any, address: str, parent_runs: list[str], addresses: dict[str, str]):
        self.page = page
        self.address = address
        self.parent_runs = parent_runs
        self.addresses = addresses

    def open(self, path: str) -> None:
        self.page.goto(f"{self.address}/#/{path}")

    def sees(self, *texts: str | re.Pattern[str], within: Any = None) -> None:
        """Wait until the page shows every one of `texts`."""
        for text in texts:
            (within or self.page).get_by_text(text).first.wait_for(timeout=SECONDS)


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, data_base: Callable[[Path], str]
) -> Iterator[Pages]:
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(folder, data_base(folder / "server.db"))
    models, project = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.store)
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(models)
        Registry(models).train(seed=1, val_loss=0.5)
        patch.chdir(toy_project(project))
        parent_runs = [log_parent_run(project, 0.1, 0.0625), log_parent_run(project, 0.2, 0.0375)]
    server.start()
    try:
        addresses = printed(server.address)
        with sync_playwright() as playwright:
            # Containers forbid the browser's own sandbox; it opens nothing but these pages.
            browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            yield Pages(browser.new_page(), server.address, parent_runs, addresses)
            browser.close()
    finally:
        server.kill()


def test_the_table_has_a_row_a_state(pages: Pages) -> None:
    pages.open("experiments/1/runs")
    rows = pages.page.get_by_role("link", name=re.compile("^no commit"))
    rows.nth(2).wait_for(timeout=SECONDS)  # the models' and the two parent runs
    assert rows.count() == 3
    assert pages.page.get_by_role("link", name="finetune", exact=True).count() == 0


def test_a_row_opens_to_its_stages(pages: Pages) -> None:
    pages.open("experiments/1/runs")
    row = pages.page.get_by_role("link", name=re.compile("^no commit finetune.lr 0.2")).first
    row.wait_for(timeout=SECONDS)
    row.locator("xpath=ancestor::span[@role='presentation']").get_by_role("button").click()
    for stage in ("prepare", "finetune", "evaluate", "plot"):
        pages.page.get_by_role("link", name=stage, exact=True).wait_for(timeout=SECONDS)


def test_a_state_shows_its_stages_metrics_and_report(pages: Pages) -> None:
    parent_run = pages.parent_runs[1]
    pages.open(f"experiments/1/runs/{parent_run}")
    pages.sees("ae.mse", "0.0375", "finetune.lr", "FINISHED")
    number = pages.page.get_by_role("cell", name="0.0375", exact=True)  # of the description
    number.first.wait_for(timeout=SECONDS)
    links = pages.page.get_by_role("link", name=re.compile("^[0-9a-f]{7}$"))
    assert links.count() >= 4
    pages.open(f"experiments/1/runs/{parent_run}/artifacts/report.html")
    pages.sees("The error is 0.0375.", within=pages.page.frame_locator("iframe").last)


def test_comparing_two_states_shows_what_moved(pages: Pages) -> None:
    pages.open(f'compare-runs?runs={json.dumps(pages.parent_runs)}&experiments=["1"]')
    pages.sees("Comparing 2 Runs from 1 Experiment", "plot.dpi")
    for switch in pages.page.get_by_text("Show diff only").all():
        switch.click()
    pages.sees(re.compile(r"^finetune\.lr$"), re.compile(r"^ae\.mse"), "0.063", "0.038")
    assert pages.page.get_by_text("plot.dpi").count() == 0


def test_a_registered_model_has_its_champion(pages: Pages) -> None:
    pages.open("models/latent-digits-ae")
    pages.sees("Version 1", re.compile("champion"), "val_loss")
    pages.sees(re.compile("^The autoencoder with the hyperparameters that the search found"))


def test_the_printed_address_opens_the_table_with_numbers_and_what_differs(pages: Pages) -> None:
    """In a browser of its own, which has no columns chosen."""
    page = pages.page.context.browser.new_page(viewport={"width": 1800, "height": 900})
    page.goto(pages.addresses["the parent runs"])
    for column in ("ae.mse", "finetune.lr"):
        page.get_by_role("columnheader", name=column).first.wait_for(timeout=SECONDS)
    for value in ("0.0375", "0.2"):
        page.get_by_role("gridcell", name=value, exact=True).first.wait_for(timeout=SECONDS)
    page.get_by_text("Model registry").wait_for(timeout=SECONDS)  # the menu for training
    page.close()


def test_the_printed_address_compares_the_two_latest_states(pages: Pages) -> None:
    pages.page.goto(pages.addresses["the two latest, compared"])
    pages.sees("Comparing 2 Runs from 1 Experiment", "0.063", "0.038")


def test_the_printed_address_shows_the_models(pages: Pages) -> None:
    pages.page.goto(pages.addresses["the models"])
    pages.sees("latent-digits-ae", "latent-digits-classifier")

"""Which columns the table of parent runs has, and what `make ui` says."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from smoke import PROJECT
from toy import STRANGE, toy_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, at import
]


def parent_run(run_id: str, metrics: dict[str, float], params: dict[str, str]) -> Any:
    return SimpleNamespace(
        info=SimpleNamespace(run_id=run_id),
        data=SimpleNamespace(metrics=metrics, params=params),
    )


NEW = parent_run(
    "b",
    {"ae_mse_x1000": 4.3, "ae.test_mse_low": 0.1, "detail/ae.test_mse": 0.2},
    {"seed": "2", "plot.dpi": "150", "tune.trials": "100"},
)
OLD = parent_run("a", {"ae_mse_x1000": 5.5}, {"seed": "1", "plot.dpi": "150"})


def test_columns_are_headline_numbers_and_parameters_that_differ() -> None:
    from latent_digits.tracking.mlflow.view import columns

    assert list(columns([NEW, OLD])) == [
        "metrics.`ae_mse_x1000`",
        "params.`seed`",
        "params.`tune.trials`",
    ]
    assert list(columns([NEW])) == ["metrics.`ae_mse_x1000`"]
    assert list(columns([])) == []


def test_two_states_can_be_compared() -> None:
    from latent_digits.tracking.mlflow.view import addresses

    found = addresses("http://127.0.0.1:5000", "1", [NEW, OLD])
    assert list(found) == ["the parent runs", "the two latest, compared", "the models"]
    assert "runs=%5B%22b%22%2C%20%22a%22%5D" in found["the two latest, compared"]
    assert len(addresses("http://127.0.0.1:5000", "1", [NEW])) == 2


def test_the_view_is_written_only_when_it_is_another(tmp_path: Path) -> None:
    from latent_digits.tracking.mlflow.view import TAG, save_view

    written: list[str] = []
    tags: dict[str, str] = {}

    def set_tag(experiment: str, name: str, value: str) -> None:
        written.append(name)
        tags[name] = value

    client: Any = SimpleNamespace(
        get_experiment=lambda experiment: SimpleNamespace(tags=tags), set_experiment_tag=set_tag
    )
    save_view(client, "1", [NEW, OLD])
    save_view(client, "1", [NEW, OLD])
    assert written == [TAG]
    assert json.loads(tags[TAG])["selectedColumns"][0] == "metrics.`ae_mse_x1000`"


def ui(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "latent_digits.commands.ui", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ui(tmp_path, f"{port}")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"error: port {port} of 127.0.0.1 cannot be used (address already in use); an MLflow may "
        f"run there already, else take another: make ui PORT={port + 1}."
    )


def test_no_port_is_a_sentence(tmp_path: Path) -> None:
    done = ui(tmp_path, "80x")
    assert done.returncode == 2
    assert "80x is no port, which is a number from 1 to 65535" in done.stderr


def test_a_server_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    address = {"MLFLOW_TRACKING_URI": "http://user:secret@127.0.0.1:9"}
    done = ui(toy_project(tmp_path), "5000", **address)
    assert done.returncode == 1
    assert "http://127.0.0.1:9 does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr + done.stdout


def test_what_is_printed_opens(tmp_path: Path) -> None:
    """In a folder with a name that addresses quote; the server is that of this very data base."""
    folder = toy_project(tmp_path / STRANGE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    process = subprocess.Popen(
        [sys.executable, "-m", "latent_digits.commands.ui", f"{port}"],
        cwd=folder,
        env={name: v for name, v in environment.items() if name != "MLFLOW_TRACKING_URI"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(3)]
        assert f"http://127.0.0.1:{port}/#/experiments/1/runs?workflowType=" in printed[1]
        assert f"http://127.0.0.1:{port}/#/models" in printed[2]
        address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get?experiment_id=1"
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    found = json.load(answer)["experiment"]
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.5)
        assert found["name"] == "latent-digits"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()

"""Results travel: one pushes them, another clones, pulls, and has all of it without a training."""

import configparser
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dvc.exceptions import CheckoutError, DownloadError
from dvc.repo import Repo
from moto.server import ThreadedMotoServer

from latent_digits.commands import begin, verify
from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset, load_dataset, save_dataset
from latent_digits.data.storage import write_csv, write_json
from latent_digits.models.weights import arrays_of, build, load_model, save_model
from latent_digits.preparation.collection import DIGITS
from latent_digits.project.provenance import digest
from latent_digits.report.verified import FILE
from latent_digits.tracking.stage_run import stage_run
from smoke import PROJECT, stale
from studies import BUILT, commit, git, head

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, DVC's, and those of a made-up S3
]

# A stage copies what a folder has for it: no Python need start.
PIPELINE = """
stages:
  prepare:
    cmd: cp -r stages/prepare/. .
    deps: [stages/prepare]
    outs: [data/split/val.safetensors]
  train_ae:
    cmd: cp -r stages/train_ae/. .
    deps: [stages/train_ae, data/split/val.safetensors]
    params: [seed]
    outs: [data/models/ae.safetensors, data/models/latents]
    plots: [reports/histories/ae.csv: {cache: false}]
  evaluate:
    cmd: cp -r stages/evaluate/. .
    deps: [stages/evaluate, data/models/ae.safetensors, data/models/latents]
    outs: [data/arrays.txt]
    metrics: [reports/metrics.json: {cache: false}]
"""
VALIDATION, MODEL = Path("data/split/val.safetensors"), Path("data/models/ae.safetensors")
MEMBER = Path("data/models/latents/4.safetensors")
HISTORY = Path("reports/histories/ae.csv")
SECRET = "aSecretThatNobodySees"  # noqa: S105 (of a storage that ends with these tests)


class Storage:
    """S3-compatible storage on loopback, with an empty bucket."""

    def __init__(self) -> None:
        self.server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.address = f"http://{host}:{port}"
        self.ask("PUT", "results")

    def ask(self, method: str, path: str, data: bytes | None = None) -> None:
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.address}/{path}", data, plain, method=method)  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310

    def trust(self, requests: str) -> None:
        """So many requests may come from anybody; after these it knows no user."""
        self.ask("POST", "moto-api/reset-auth", requests.encode())


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    found = Storage()
    yield found
    found.server.stop()


@pytest.fixture(scope="module")
def first(
    storage: Storage, tmp_path_factory: pytest.TempPathFactory, data_base: Callable[[Path], str]
) -> Iterator[Path]:
    """A study with its results, committed, pushed and in its author's MLflow."""
    folder = tmp_path_factory.mktemp("sharing") / "first"
    given = {stage: folder / "stages" / stage for stage in ("prepare", "train_ae", "evaluate")}
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    val = Dataset(images, np.arange(6), np.arange(6), "a split", "made up", DIGITS)
    about = {"latent_dim": 3, **BUILT}
    torch.manual_seed(0)
    weights = arrays_of(build(about | {"model": "autoencoder"}))
    save_dataset(given["prepare"] / VALIDATION, val)
    for path in (MODEL, MEMBER):
        save_model(given["train_ae"] / path, weights, about | {"model": "autoencoder"}, val)
    write_csv(given["train_ae"] / HISTORY, ["epoch", "val_loss"], [{"epoch": 1, "val_loss": 0.5}])
    write_json(given["evaluate"] / "reports/metrics.json", {"ae_mse_e3": 4.2})
    (given["evaluate"] / "data").mkdir()
    (given["evaluate"] / "data/arrays.txt").write_text("arrays")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 1\n")
    shutil.copy(PROJECT / ".gitignore", folder)
    write_json(folder / FILE, {"stages": {}})
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "A")
    git(folder, "config", "user.email", "a@example.org")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(folder)
        Repo.init().close()
        remote(folder, "s3://results/a study", endpointurl=storage.address)
        with Repo() as repo:
            repo.reproduce()
            commit(folder, "results")
            repo.push()
        patch.setenv("MLFLOW_TRACKING_URI", data_base(folder / "mlflow.db"))
        with stage_run("train_ae", {"seed": 1}) as run:
            run.model(MODEL)
        sync()
        yield folder


def remote(folder: Path, url: str, **options: str) -> None:
    """Where this clone pushes to and pulls from, and as whom: nothing of it is in git."""
    access = {"access_key_id": "a", "secret_access_key": SECRET} if options else {}
    with Repo(str(folder)) as repo, repo.config.edit("local") as config:
        config["core"] = {"remote": "shared"}
        config["remote"] = {"shared": {"url": url, **options, **access}}


def sync() -> None:
    from latent_digits.commands.sync import main

    main()


def lineage(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: str) -> list[str]:
    """What the command prints."""
    from latent_digits.commands.lineage import main

    monkeypatch.setattr(sys, "argv", ["lineage", *arguments])
    capsys.readouterr()
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def clone(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_base: Callable[[Path], str]
) -> Path:
    """What a colleague has before `dvc pull`, with an MLflow that is empty; current."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(first), str(folder)], check=True)
    shutil.copy(first / ".dvc/config.local", folder / ".dvc")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", data_base(folder / "mlflow.db"))
    return folder


def pull(*targets: str) -> None:
    with Repo() as repo:
        repo.pull(list(targets))


def files_in(*folders: str) -> set[str]:
    return {
        f"{path}"
        for folder in folders
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != ".gitignore"
    }


def test_a_clone_that_was_pulled_is_up_to_date(clone: Path) -> None:
    assert not files_in("data")
    pull()
    begin.repair()
    with Repo() as repo:
        assert repo.status() == {}
        assert repo.reproduce() == []
    model, about = load_model(MODEL, load_dataset(VALIDATION))
    assert about["latent_dim"] == 3
    assert model(torch.zeros(1, 1, 28, 28)).shape == (1, 1, 28, 28)
    git_says = subprocess.run(["git", "status", "--short"], capture_output=True, check=True)
    assert git_says.stdout == b""


def test_lineage_in_the_authors_mlflow(
    first: Path, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{first}/mlflow.db")
    with pytest.raises(UserError, match=r"ae\.safetensors is not here; `dvc pull` fetches it"):
        lineage(monkeypatch, capsys, f"{MODEL}")
    pull()
    found = lineage(monkeypatch, capsys, f"{MODEL}", "--verify")
    assert found[0] == "train_ae"
    assert "made elsewhere" not in found[1]
    assert f"  commit   {head(first)}" in found
    assert "  models   models:/latent-digits-ae/1 (champion)" in found
    assert found[-1] == "verified: 0 do not match"
    sync()
    assert lineage(monkeypatch, capsys, f"{MODEL}", "--verify") == found
    assert lineage(monkeypatch, capsys, f"{MEMBER}", "--verify") == found


def test_lineage_in_an_mlflow_that_was_empty(
    first: Path, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """It is filled from what is here, before the pull and after."""
    sync()
    pull()
    (before,) = [line for line in lineage(monkeypatch, capsys, f"{MODEL}") if "  run " in line]
    sync()
    found = lineage(monkeypatch, capsys, f"{MODEL}", "--verify")
    assert found[:2] == ["train_ae", before]
    assert before.endswith("made elsewhere")
    assert f"  commit   {head(first)}" in found
    assert "  models   models:/latent-digits-ae/1 (champion)" in found
    assert found[-1] == "verified: 0 do not match"


def test_verify_brings_what_it_needs_and_trains_nothing(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the remote: nothing is here, and what is not asked for stays away."""
    monkeypatch.setattr(sys, "argv", ["verify", "evaluate"])
    verify.main()
    said = capfd.readouterr()
    assert "verify: evaluate, 1 of 1" in said.err
    assert said.out.endswith("All 2 outputs are, to the byte, those of dvc.lock.\n")
    assert not files_in("data")


def test_what_the_remote_lacks_is_made_and_nothing_else(clone: Path) -> None:
    """A folder as a remote, in which one file is missing."""
    pull()
    folder = clone.parent / "a folder"
    remote(clone, f"{folder}")
    with Repo() as repo:
        repo.push()
    md5 = digest(VALIDATION)
    (folder / "files/md5" / md5[:2] / md5[2:]).unlink()
    for everything in (".dvc/cache", "data/split", "data/models", "data/arrays.txt"):
        shutil.rmtree(everything) if Path(everything).is_dir() else Path(everything).unlink()
    with pytest.raises(CheckoutError, match=r"val\.safetensors"):
        pull()
    assert files_in("data") == {f"{MODEL}", f"{MEMBER}", "data/arrays.txt"}
    with Repo() as repo:
        assert [stage.name for stage in repo.reproduce()] == ["prepare"]
        assert repo.status() == {}


def test_who_may_not_read_gets_nothing_and_may_come_again(clone: Path, storage: Storage) -> None:
    storage.trust("0")
    try:
        with pytest.raises(DownloadError, match="files failed to download"):
            pull()
    finally:
        storage.trust("inf")
    assert not files_in("data", ".dvc/cache")
    pull()
    assert stale(clone) == set()


def test_secrets_stay_in_a_file_that_git_ignores(clone: Path) -> None:
    """After all that a colleague does: no lock, report, run, queue or commit has one."""
    pull()
    sync()
    with Repo() as repo:
        repo.push()
    commit(clone, "all that git takes")
    found = [path for path in clone.rglob("*") if path.is_file() and has_secret(path.read_bytes())]
    assert found == [clone / ".dvc/config.local"]
    objects = ["git", "cat-file", "--batch-all-objects", "--batch"]
    assert not has_secret(subprocess.run(objects, capture_output=True, check=True).stdout)


def has_secret(content: bytes) -> bool:
    return SECRET.encode() in content


def test_settings_in_git_have_no_secret(clone: Path) -> None:
    assert credentials_in(clone / ".dvc/config.local") == {"access_key_id", "secret_access_key"}
    assert not credentials_in(PROJECT / ".dvc/config")


def credentials_in(file: Path) -> set[str]:
    """The names of DVC's settings that make a person of whoever reads them."""
    settings = configparser.ConfigParser()
    settings.read(file)
    names = {name for section in settings.values() for name in section}
    return {name for name in names if re.search("key|secret|pass|token|connection_string", name)}

"""Models in a real registry: their versions, the champion, and what they answer over HTTP."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from latent_digits.catalogue import MODELS
from latent_digits.data.storage import files_of
from latent_digits.project.provenance import digest
from registry import ABOUT, Registry
from servers import model_server
from toy import STRANGE

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models

COMPETING = ("ae", "vae", "classifier")


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, data_base: Callable[[Path], str]
) -> Iterator[Registry]:
    """A registry with a champion of each model, which the tests add to.

    MLflow cannot load a model out of a folder with %20 in its name.
    """
    folder = tmp_path_factory.mktemp("registry") / STRANGE.replace("%20", " ")
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", data_base(folder / "mlflow.db"))
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        patch.chdir(folder)
        registry = Registry(folder)
        registry.train(seed=1, val_loss=0.5)
        yield registry


@pytest.mark.parametrize("name", COMPETING)
def test_a_model_says_what_it_takes_and_answers_as_the_project_does(
    registry: Registry, name: str
) -> None:
    import mlflow

    mlflow.set_tracking_uri(registry.address)
    model = mlflow.pyfunc.load_model(f"models:/latent-digits-{name}@champion")
    shape = (-1, 10) if name == "classifier" else (-1, 28, 28)
    (taken,), (given,) = model.metadata.signature.inputs, model.metadata.signature.outputs
    assert (taken.type, taken.shape) == (np.uint8, (-1, 28, 28))
    assert (given.type, given.shape) == (np.float32, shape)
    np.testing.assert_array_equal(model.input_example, registry.images[:2])
    np.testing.assert_allclose(
        model.predict(registry.images), registry.expected(name), rtol=1e-5, atol=1e-6
    )


def test_no_file_of_a_model_is_a_pickle(registry: Registry) -> None:
    folder = registry.folder / "mlartifacts"
    files = files_of(folder)  # without what Python compiles beside a model's code as it loads it
    suffixes = {path.suffix for path in files}
    texts = {".py", ".json", ".csv", ".txt", ".yaml", ".yml", ""}
    assert suffixes <= {".safetensors", *texts}
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]


def test_a_model_brings_its_requirements_and_code_along(registry: Registry) -> None:
    from latent_digits.tracking.mlflow.registry import ROOMS, requirements

    (weights,) = registry.folder.glob("mlartifacts/**/artifacts/ae.safetensors")
    model = weights.parents[1]
    assert (model / "requirements.txt").read_text().splitlines() == requirements()
    assert "-r requirements.txt" in (model / "python_env.yaml").read_text()
    (package,) = (model / "code").iterdir()
    assert {one.name for one in package.iterdir() if one.is_dir()} - {"__pycache__"} == {*ROOMS}


def test_a_served_model_answers_http_as_the_project_does(
    registry: Registry, tmp_path: Path
) -> None:
    server = model_server(tmp_path, "models:/latent-digits-ae@champion", registry.address)
    server.start()
    try:
        request = urllib.request.Request(  # noqa: S310
            f"{server.address}/invocations",
            json.dumps({"inputs": registry.images.tolist()}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            found = np.array(json.load(answer)["predictions"], np.float32)
    finally:
        server.kill()
    np.testing.assert_allclose(found, registry.expected("ae"), rtol=1e-5, atol=1e-6)


def test_a_model_leads_to_its_run_and_changed_weights_are_noticed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latent_digits.commands.lineage import main

    address = "models:/latent-digits-ae@champion"
    monkeypatch.setattr("sys.argv", ["lineage", address, "--verify"])
    with pytest.raises(SystemExit) as ended:
        main()
    text = capsys.readouterr().out
    assert not ended.value.code
    assert "models:/latent-digits-ae/1 (champion)" in text
    assert "  files    1 read, 4 written; --files lists them" in text

    (stored,) = registry.folder.glob("mlartifacts/**/artifacts/ae.safetensors")
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-1])
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        stored.write_bytes(whole)
    assert ended.value.code == 1
    assert "models:/latent-digits-ae/1 holds weights" in capsys.readouterr().out


def test_each_model_of_the_study_has_a_sentence(registry: Registry) -> None:
    from mlflow import MlflowClient

    from latent_digits.tracking.mlflow.registry import DESCRIPTIONS

    assert set(DESCRIPTIONS) <= set(MODELS)
    client = MlflowClient(registry.address)
    for name in ABOUT:
        model = client.get_registered_model(f"latent-digits-{name}")
        assert model.description == DESCRIPTIONS[name]
        assert client.get_model_version(model.name, "1").description == DESCRIPTIONS[name]


def test_a_control_is_no_champion(registry: Registry) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(registry.address)
    assert not client.get_registered_model("latent-digits-classifier_random_encoder").aliases
    assert client.get_registered_model("latent-digits-classifier").aliases


def test_a_version_has_its_test_metrics_when_they_are_known(registry: Registry) -> None:
    from mlflow import MlflowClient

    from latent_digits.tracking.mlflow.registry import tag_test_metrics, versions_of

    client = MlflowClient(registry.address)
    written = {"data/models/ae.safetensors": digest(Path("data/models/ae.safetensors"))}
    (version,) = versions_of(client, written | {"reports/report.md": "0"})
    groups = {"ae": {"val_mse": 0.1, "test_mse": 0.25, "test_mse_low": 0.2}, "vae": 0.5}
    tag_test_metrics(client, [version], groups)
    tags = client.get_model_version(version.name, version.version).tags
    assert tags["test_mse"] == "0.25"
    assert not {"val_mse", "test_mse_low"} & set(tags)


def test_the_champion_changes_only_for_a_less_validation_loss(registry: Registry) -> None:
    """After the tests above, which know the first champion."""
    assert registry.champion("ae") == (1, 1)
    registry.train(seed=2, val_loss=0.6)
    assert registry.champion("ae") == (1, 2)
    registry.train(seed=3, val_loss=0.4)
    assert registry.champion("ae") == (3, 3)
    registry.train(seed=3, val_loss=0.4)  # the same bytes again
    assert registry.champion("ae") == (3, 3)
    registry.train(seed=4, val_loss=0.1, data_seed=1)  # on another validation set
    assert registry.champion("ae") == (3, 4)

"""Where runs are logged: in any folder, in a copy, and without telling secrets."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from latent_digits.tracking.addresses import (
    data_base,
    home,
    login,
    place,
    sqlite_address,
    tracking_uri,
    workspace,
)
from latent_digits.tracking.faults import one_line
from toy import STRANGE


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `dvc exp run --temp`, and DVC's environment there."""
    copy = tmp_path / ".dvc/tmp/exps/tmp123"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return copy


def test_an_experiment_in_a_copy_logs_beside_the_project(tmp_path: Path, copy: Path) -> None:
    assert workspace() == copy
    assert home() == tmp_path
    assert data_base() == tmp_path / "mlflow.db"


@pytest.mark.parametrize(
    ("given", "file", "options"),
    [
        ("sqlite:///mlflow.db", "mlflow.db", {}),
        ("sqlite:///runs/all.db?timeout=60", "runs/all.db", {"timeout": "60"}),
        ("sqlite+pysqlite:///a%20b.db", "a b.db", {}),
        ("sqlite:////elsewhere/mlflow.db", "/elsewhere/mlflow.db", {}),
    ],
)
def test_a_relative_data_base_lies_in_the_project(
    tmp_path: Path,
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    file: str,
    options: dict[str, str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    for _ in range(2):
        assert data_base() == tmp_path / file
        assert place() == str(tmp_path / file)
        assert make_url(tracking_uri()).database == str(tmp_path / file)
        assert make_url(tracking_uri()).query == options
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri())  # as MLflow does


@pytest.mark.parametrize("name", [STRANGE, "My%20Project", "a?b", "a#b"])
def test_any_name_of_a_folder_comes_back(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "mlflow.db"
    assert make_url(sqlite_address(file)).database == str(file)


@pytest.mark.parametrize(
    ("given", "found", "address"),
    [
        ("https://user:secret@host/x", ("user", "secret"), "https://host/x"),
        ("http://a%40b:%2Fs%20%25@host:5/x@y", ("a@b", "/s %"), "http://host:5/x@y"),
        ("http://user@host/x", None, "http://user@host/x"),
        ("HTTP://user:a[secret]b@[::1]:5/x", ("user", "a[secret]b"), "HTTP://[::1]:5/x"),
        ("http://host/x", None, "http://host/x"),
        ("postgresql://user:secret@host/x", None, "postgresql://user:secret@host/x"),
    ],
)
def test_user_and_password_are_given_to_mlflow_apart_from_the_address(
    monkeypatch: pytest.MonkeyPatch, given: str, found: tuple[str, str] | None, address: str
) -> None:
    """Whose driver of PostgreSQL needs them in it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert login() == found
    assert tracking_uri() == address


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://user:secret@host/x", "https://host/x"),
        ("https://user:se/cr@et?@host/x", "https://host/x"),
        ("postgresql://user:secret@host/runs?password=secret", "postgresql://host/runs"),
        ("http://host:port", "http://host:port"),
        ("http://user:a[secret]b@host", "http://host"),
        ("postgres://host/runs?user=a&password=secret&sslpassword=secret", "postgres://host/runs"),
        ("postgresql://user:secret@cr@et@host/runs", "postgresql://host/runs"),
    ],
)
def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, given: str, shown: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert data_base() is None
    assert place() == shown
    error = one_line(ValueError(f"cannot reach {given} now"))
    assert "secret" not in error
    assert "cr@et" not in error


@pytest.mark.parametrize("words", ["'secret' does not appear to be an address", "host secret@host"])
def test_no_part_of_a_password_is_quoted(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """By a library that takes one with brackets, or with an @, for another part of the address."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:a[secret]@secret@host/runs")
    assert "secret" not in one_line(ValueError(words))

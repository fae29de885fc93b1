"""What MLflow's client says of a server that fails, as sentences."""

from pathlib import Path
from typing import Any

import pytest

from latent_digits.tracking.faults import one_line
from servers import Answering, listening

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, at import
]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return MlflowClient


def fault(call: Any, *arguments: Any) -> str:
    with pytest.raises(Exception) as raised:
        call(*arguments)
    return one_line(raised.value)


def answers(status: int, body: bytes = b"no") -> type[Answering]:
    return type("Answers", (Answering,), {"status": status, "body": body})


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "it knows no such user with this password"),
        (403, "this user lacks a permission, for experiments/create; ask whoever runs it (403)"),
        (404, "what answers at this address is no MLflow"),
        (405, "it answers 405 to experiments/create, which MLflow does not"),
        (429, "it wants fewer requests"),
        (500, "it failed; its log says why (500)"),
        (503, "it, its data base or what stands before it is not ready (503)"),
    ],
)
def test_an_answer_of_the_api_is_a_sentence(client: Any, status: int, sentence: str) -> None:
    with listening(answers(status)) as address:
        assert fault(client(address).create_experiment, "a").startswith(sentence)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (403, "this user lacks a permission"),
        (404, "it has no such file"),
        (413, "it, or what stands before it, takes no file of this size (413)"),
        (500, "its artifact store fails"),
        (507, "its artifact store fails"),
    ],
)
def test_an_answer_to_a_file_is_a_sentence(
    client: Any, tmp_path: Path, status: int, sentence: str
) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    (tmp_path / "a.txt").write_text("a")
    with listening(answers(status)) as address:
        store = get_artifact_repository("mlflow-artifacts:/1/run/artifacts", f"{address}/mlflow")
        assert fault(store.log_artifact, f"{tmp_path / 'a.txt'}").startswith(sentence)


def test_a_page_for_people_and_no_server_at_all_are_sentences(client: Any) -> None:
    with listening(answers(200, b"<html>Who are you?</html>")) as address:
        assert fault(client(address).create_experiment, "a").startswith("what answers at this")
    assert fault(client(address).create_experiment, "a") == (
        "Failed to establish a new connection: [Errno 111] Connection refused"
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            "HTTPSConnectionPool(host='h'): Max retries exceeded with url: /api (Caused by "
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate "
            "verify failed: self-signed certificate (_ssl.c:1006)')))",
            "its certificate is not one that is trusted here",
        ),
        (
            "HTTPSConnectionPool(host='h'): Max retries exceeded with url: /api (Caused by "
            "ConnectTimeoutError(<urllib3.connection.HTTPSConnection object at 0x7f>, 'Connection "
            "to h timed out. (connect timeout=20)'))",
            "it does not answer in time",
        ),
        (
            "('Connection aborted.', RemoteDisconnected('Remote end closed connection without '))",
            "it ended the connection",
        ),
    ],
)
def test_what_lies_between_is_a_sentence(error: str, sentence: str) -> None:
    assert one_line(OSError(error)).startswith(sentence)


def test_what_is_no_servers_answer_keeps_its_words() -> None:
    assert one_line(ValueError("code 5,\n twice")) == "ValueError: code 5, twice"

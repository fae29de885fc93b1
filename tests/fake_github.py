"""GitHub's API on loopback, as far as a comment needs it, with one pull request from a fork."""

import io
import json
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from latent_digits.comparison.values import Comparison, Difference, Gate, MetricRow, Side

REPOSITORY, FORK, BRANCH = "owner/project", "stranger/project", "wider"
BASE, HEAD, LATER = "b" * 40, "a" * 40, "c" * 40
PLACE = "https://github.test/owner/project"
RUN = f"{PLACE}/actions/runs/11"
OURS = {"login": "github-actions[bot]"}


def comparison(rows: int = 2, commit: str = HEAD, note: str = "0.25") -> Comparison:
    """A small one, with as many rows as asked in its folded table."""
    side: dict[str, Any] = {"subject": "", "changes": False, "seeds": 1, "test_images": ""}
    metric = MetricRow(
        name="ae_mse_e3",
        title="error",
        better="lower",
        base=5.0,
        head=4.0,
        change=-1.0,
        low=-1.5,
        high=-0.5,
        tolerance=None,
        beyond=False,
        verdict="better",
        apart=[],
        note="",
    )
    return Comparison(
        sentence="Better.",
        base=Side(revision="main", commit=BASE, **side),
        head=Side(revision="HEAD", commit=commit, **side),
        notes=[],
        stale=[],
        gate=Gate(exit=0, neutral=False, reasons=[], changes=[]),
        metrics=[metric],
        parameters=[],
        stages=[],
        others=[Difference(name=f"row_{one}", base="0.5", head=note) for one in range(rows)],
        classes=[],
        worsened=[],
        curves=[],
    )


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def packed(found: Comparison) -> bytes:
    return zipped({"compare.json": found.model_dump_json().encode()})


class FakeGitHub:
    """The state that a test sets, and the requests that came: (method, path, authorization)."""

    def __init__(self) -> None:
        self.artifact = packed(comparison())
        self.artifacts = [{"id": 5, "name": "comparison", "expired": False, "size_in_bytes": 900}]
        self.pulls = [pull(7)]
        self.comments: list[dict[str, Any]] = []
        self.figures = {
            BASE: {"fig01.png": "1", "fig02.png": "2"},
            HEAD: {"fig01.png": "1", "fig02.png": "3", "fig03.png": "4"},
        }
        self.merge_base = BASE
        self.no: dict[tuple[str, str], int] = {}  # status, by method and end of the path
        self.requests: list[tuple[str, str, str | None]] = []
        state = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                state.requests.append((self.command, self.path, self.headers["Authorization"]))
                status, content, headers = state.answer(self.command, self.path, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FakeGitHub":
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for (forbidden, end), status in self.no.items():
            if method == forbidden and parts.path.endswith(end):
                return status, b'{"message": "Resource not accessible\\nby integration"}', {}
        if parts.path == "/store/5":
            return 200, self.artifact, {}
        local = parts.path.removeprefix(f"/repos/{REPOSITORY}")
        if local == "/actions/artifacts/5/zip":
            # Another host to every client, since it has another name.
            return 302, b"", {"Location": f"http://localhost:{self.port}/store/5?signature=x"}
        found = self.found(method, local, query, json.loads(body) if body else None)
        if found is None:
            return 404, b'{"message": "Not Found"}', {}
        return 200, json.dumps(found).encode(), {}

    def found(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        if path == "/actions/runs/11/artifacts":
            return {"artifacts": self.artifacts}
        if path == "/pulls" and query["state"] == "open":
            owner, _, branch = query["head"].partition(":")
            here = [one for one in self.pulls if is_from(one, owner, branch)]
            return page(here, query)
        if path == "/issues/7/comments" and method == "GET":
            return page(self.comments, query)
        if path == "/issues/7/comments":
            self.comments.append({"id": 1000 + len(self.comments), "user": OURS, **body})
            return self.comments[-1]
        if path.startswith("/issues/comments/") and method == "PATCH":
            number = int(path.rpartition("/")[2])
            (one,) = (comment for comment in self.comments if comment["id"] == number)
            one |= body
            return one
        if path == "/contents/reports/figures" and query["ref"] in self.figures:
            entries = self.figures[query["ref"]]
            return [{"name": k, "sha": v, "type": "file"} for k, v in entries.items()]
        if path == f"/compare/{LATER}...{HEAD}":
            return {"merge_base_commit": {"sha": self.merge_base}}
        return None


def page(items: list[Any], query: dict[str, str]) -> list[Any]:
    size, number = int(query["per_page"]), int(query["page"])
    return items[size * (number - 1) : size * number]


def pull(number: int, sha: str = HEAD, repository: str = FORK) -> dict[str, Any]:
    head = {"ref": BRANCH, "sha": sha, "repo": {"full_name": repository}}
    return {"number": number, "head": head}


def is_from(one: dict[str, Any], owner: str, branch: str) -> bool:
    """As GitHub filters: by owner and branch, not by the repository's name."""
    repository = one["head"]["repo"]["full_name"]
    return repository.startswith(f"{owner}/") and one["head"]["ref"] == branch


def job(
    github: FakeGitHub, event: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of a job for that event."""
    file = folder / "event.json"
    file.write_text(json.dumps(event))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(file))
    monkeypatch.setenv("GITHUB_API_URL", github.address)
    monkeypatch.setenv("GITHUB_TOKEN", "secret")


def repository(name: str) -> dict[str, Any]:
    return {"full_name": name, "html_url": f"https://github.test/{name}", "private": False}


def run_event(**changes: Any) -> dict[str, Any]:
    """The event `workflow_run` of a fork's pull request: it does not name the pull request."""
    run = {
        "id": 11,
        "event": "pull_request",
        "html_url": RUN,
        "head_sha": HEAD,
        "head_branch": BRANCH,
        "head_repository": repository(FORK),
        "pull_requests": [],
    }
    return {"workflow_run": run | changes, "repository": repository(REPOSITORY)}


def pull_request_event() -> dict[str, Any]:
    ends = {
        "head": {"ref": BRANCH, "sha": HEAD, "repo": repository(FORK)},
        "base": {"ref": "main", "sha": LATER, "repo": repository(REPOSITORY)},
    }
    return {"pull_request": {"number": 7, **ends}, "repository": repository(REPOSITORY)}

"""The comment of a pull request, against a fake API on loopback."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_github import (
    BASE,
    FORK,
    HEAD,
    LATER,
    OURS,
    PLACE,
    RUN,
    FakeGitHub,
    comparison,
    job,
    packed,
    pull,
    run_event,
    zipped,
)
from latent_digits.commands import comment
from latent_digits.commands.comment import MARKER, MOST
from latent_digits.console import UserError
from latent_digits.github import artifact


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        job(fake, run_event(), tmp_path, monkeypatch)
        yield fake


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """Runs the command; returns the sentence of its notice."""
    comment.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("::notice title=Comparison::")
    return line.removeprefix("::notice title=Comparison::")


def written(github: FakeGitHub) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _ in github.requests if method != "GET"]


def test_the_first_run_creates_the_comment(github: FakeGitHub, capsys: Any) -> None:
    assert printed(capsys) == "Pull request 7 has a comment now."
    (one,) = github.comments
    assert one["body"].startswith(f"{MARKER}\n## Better.\n")
    assert "| `row_1` | `0.5` | `0.25` |" in one["body"]
    assert f"Of commit {HEAD}, by [this run]({RUN})" in one["body"]


def test_the_next_run_updates_that_one(github: FakeGitHub, capsys: Any) -> None:
    printed(capsys)
    github.artifact = packed(comparison(rows=5))
    assert printed(capsys) == "Pull request 7 has its comment brought up to date."
    (one,) = github.comments
    assert "row_4" in one["body"]
    assert written(github)[-1] == ("PATCH", "/repos/owner/project/issues/comments/1000")


def test_ours_is_found_on_a_later_page(github: FakeGitHub, capsys: Any) -> None:
    talk = [{"id": n, "user": {"login": "someone"}, "body": "hello"} for n in range(230)]
    github.comments = [*talk, {"id": 400, "user": OURS, "body": MARKER}, *talk[:50]]
    printed(capsys)
    assert written(github) == [("PATCH", "/repos/owner/project/issues/comments/400")]
    pages = [path for _, path, _ in github.requests if "/issues/7/comments" in path]
    assert len(pages) == 3


@pytest.mark.parametrize("number", [100, 200])
def test_full_pages_without_ours_end(github: FakeGitHub, capsys: Any, number: int) -> None:
    github.comments = [{"id": n, "user": None, "body": None} for n in range(number)]
    assert printed(capsys) == "Pull request 7 has a comment now."


@pytest.mark.parametrize(
    ("login", "body"), [("stranger", f"{MARKER}\nmine"), (OURS["login"], f"I quote {MARKER}")]
)
def test_another_comment_with_our_marker_is_left_alone(
    github: FakeGitHub, capsys: Any, login: str, body: str
) -> None:
    github.comments = [{"id": 1, "user": {"login": login}, "body": body}]
    printed(capsys)
    assert github.comments[0]["body"] == body
    assert written(github) == [("POST", "/repos/owner/project/issues/7/comments")]


@pytest.mark.parametrize("forbidden", [("GET", "/comments"), ("POST", "/comments")])
def test_a_comment_that_may_not_be_written_is_a_notice(
    github: FakeGitHub, capsys: Any, forbidden: tuple[str, str]
) -> None:
    github.no[forbidden] = 403
    sentence = printed(capsys)
    assert sentence.startswith("No comment: it may not be written (GitHub answers 403 to ")
    assert "Resource not accessible by integration" in sentence
    assert f"The same stands in the summary of {RUN}" in sentence


def test_a_fault_of_github_is_an_error(github: FakeGitHub) -> None:
    github.no["POST", "/comments"] = 502
    with pytest.raises(UserError, match="GitHub answers 502 to POST /repos/owner/project/issues/7"):
        comment.main()


def test_no_answer_is_an_error(github: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1")
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:1 gives no answer .* run this job"):
        comment.main()


@pytest.mark.parametrize(
    "pulls", [[], [pull(7, repository="stranger/other")]], ids=["none", "another repository"]
)
def test_a_pull_request_that_is_not_found(github: FakeGitHub, capsys: Any, pulls: Any) -> None:
    github.pulls = pulls
    assert printed(capsys) == (
        f"No comment: no open pull request comes from {FORK}:wider; it is closed, or merged."
    )
    assert not written(github)


def test_a_pull_request_that_has_moved_on(github: FakeGitHub, capsys: Any) -> None:
    github.pulls = [pull(7, LATER)]
    assert "pull request 7 has moved on to ccccccc since this run of aaaaaaa" in printed(capsys)
    assert not written(github)


def test_two_pull_requests_of_one_branch(github: FakeGitHub, capsys: Any) -> None:
    github.pulls = [pull(9), pull(7)]
    assert "pull requests 7 and 9 both come from stranger/project:wider" in printed(capsys)
    assert not written(github)


def test_a_fork_that_is_deleted(
    github: FakeGitHub, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(github, run_event(head_repository=None), tmp_path, monkeypatch)
    assert "the repository or the branch that the run was of is deleted" in printed(capsys)


def test_a_branch_with_signs_of_an_address(
    github: FakeGitHub, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.pulls[0]["head"]["ref"] = "a&state=closed#%0A"
    job(github, run_event(head_branch="a&state=closed#%0A"), tmp_path, monkeypatch)
    assert printed(capsys) == "Pull request 7 has a comment now."
    github.pulls = []
    assert "stranger/project:a&state=closed#%250A;" in printed(capsys)  # the runner reads %25 as %


def test_a_run_without_a_comparison(github: FakeGitHub, capsys: Any) -> None:
    github.artifacts[0]["expired"] = True
    assert f"{RUN} has no artifact with a comparison; its log says why" in printed(capsys)


def test_the_newest_artifact_counts(github: FakeGitHub, capsys: Any) -> None:
    older = github.artifacts[0] | {"id": 4}
    github.artifacts = [older, *github.artifacts, github.artifacts[0] | {"id": 6, "name": "x"}]
    assert printed(capsys) == "Pull request 7 has a comment now."


def test_the_store_is_not_shown_the_token(github: FakeGitHub, capsys: Any) -> None:
    printed(capsys)
    shown = {urlpath.partition("?")[0]: token for _, urlpath, token in github.requests}
    assert shown["/store/5"] is None
    assert shown["/repos/owner/project/actions/artifacts/5/zip"] == "Bearer secret"


def test_a_comparison_of_another_commit_is_refused(github: FakeGitHub) -> None:
    github.artifact = packed(comparison(commit=LATER))
    with pytest.raises(UserError, match="not of the commit aaaaaaa that its run was of"):
        comment.main()
    assert not written(github)


VALID = json.loads(comparison().model_dump_json())


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "its beginning"),
        (b"[" * 100_000, "its beginning"),
        (b"{}", "sentence"),
        (b"\xff\xfe", "its beginning"),
        (json.dumps(VALID | {"::error::evil": 1}).encode(), "its beginning"),
        (json.dumps(VALID | {"sentence": 1}).encode(), "sentence"),
        (json.dumps(VALID | {"metrics": [VALID["metrics"][0] | {"base": "1"}]}).encode(), "metric"),
        (json.dumps(VALID).replace(": 5.0", ": NaN").encode(), "metrics.0"),
    ],
)
def test_an_invalid_comparison_is_refused(github: FakeGitHub, content: bytes, place: str) -> None:
    github.artifact = zipped({"compare.json": content})
    with pytest.raises(UserError, match="of the artifact is no comparison") as error:
        comment.main()
    assert f" at {place}" in str(error.value)
    assert "::" not in str(error.value) and "\n" not in str(error.value)
    assert not written(github)


@pytest.mark.parametrize(
    "names", [["../compare.json"], ["/etc/passwd"], ["compare.json", "../../x"], [], ["x.json"]]
)
def test_an_archive_of_other_files_is_refused(
    github: FakeGitHub, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.parent.iterdir())
    github.artifact = zipped({name: comparison().model_dump_json().encode() for name in names})
    with pytest.raises(UserError, match=rf"the one file compare\.json \({len(names)} in all\)"):
        comment.main()
    assert sorted(tmp_path.parent.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["event.json"]


def test_the_same_name_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = doubled()
    with pytest.raises(UserError, match="2 in all"):
        artifact.unpacked(content)


def doubled() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("compare.json", "{}")
        archive.writestr("compare.json", "{}")
    return packed.getvalue()


def test_another_compression_is_not_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("compare.json", comparison().model_dump_json())
    with pytest.raises(UserError, match="is no comparison"):
        artifact.parsed(artifact.unpacked(packed.getvalue()))


def test_a_torn_archive_is_refused_wherever_it_is_torn() -> None:
    whole = packed(comparison())
    for length in range(0, len(whole), 7):
        with pytest.raises(UserError):
            artifact.unpacked(whole[:length])
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        try:
            artifact.parsed(artifact.unpacked(bytes(changed)))
        except UserError:
            continue


def test_an_archive_that_unpacks_to_too_much_is_refused(github: FakeGitHub) -> None:
    github.artifact = zipped({"compare.json": b" " * (artifact.MOST + 1)})
    assert len(github.artifact) < 20_000
    with pytest.raises(UserError, match=r"has 10,000,001 bytes or more, and 10,000,000 are"):
        comment.main()


def test_a_large_archive_is_refused_before_it_is_read(github: FakeGitHub) -> None:
    github.artifacts[0]["size_in_bytes"] = artifact.MOST_PACKED + 1
    with pytest.raises(UserError, match=r"5,000,001 bytes or more, and 5,000,000 are allowed"):
        comment.main()
    assert not [path for _, path, _ in github.requests if path.endswith("/zip")]


def test_an_archive_that_is_larger_than_was_said_is_refused(github: FakeGitHub) -> None:
    github.artifact = bytes(artifact.MOST_PACKED + 1)
    with pytest.raises(UserError, match=r"5,000,001 bytes or more"):
        comment.main()


def test_a_long_comment_is_cut_at_a_row(github: FakeGitHub, capsys: Any) -> None:
    github.artifact = packed(comparison(rows=3000, note="ä" * 200))
    printed(capsys)
    body = github.comments[0]["body"]
    assert MOST - 400 < len(body) <= MOST
    table, _, rest = body.partition("**Cut here**")
    assert table.rstrip().endswith("ä` |\n\n</details>")
    assert f"the whole is in [the run's summary]({RUN})" in rest
    assert "fig02.png" in rest and "Of commit" in rest
    assert body.count("<details>") == body.count("</details>")


def test_figures_that_differ_are_shown_by_commit_with_a_link_beside(
    github: FakeGitHub, capsys: Any
) -> None:
    printed(capsys)
    body = github.comments[0]["body"]
    base, head = (f"{PLACE}/blob/{sha}/reports/figures" for sha in (BASE, HEAD))
    assert "<summary>2 of 3 figures differ</summary>" in body
    assert (
        f"| fig02.png | ![fig02.png]({base}/fig02.png?raw=true)<br>[fig02.png]({base}/fig02.png) "
        f"| ![fig02.png]({head}/fig02.png?raw=true)<br>[fig02.png]({head}/fig02.png) |" in body
    )
    assert f"| fig03.png |  | ![fig03.png]({head}/fig03.png?raw=true)" in body
    assert "fig01.png" not in body


def test_many_figures_are_cut_and_strange_names_left_out(github: FakeGitHub, capsys: Any) -> None:
    many = {f"figure{number:04}_{'x' * 45}.png": "1" for number in range(1000)}
    github.figures[HEAD] = many | {"a|b.png": "1", "![x](y).png": "1", "@someone.png": "1"}
    github.artifact = packed(comparison(rows=3000))
    printed(capsys)
    body = github.comments[0]["body"]
    assert "1002 of 1002 figures differ; the first 20 of them" in body
    assert "someone" not in body and "a|b" not in body
    assert len(body) <= MOST


def test_without_figures_nothing_is_said_of_them(github: FakeGitHub, capsys: Any) -> None:
    github.figures = {}
    printed(capsys)
    assert "figures differ" not in github.comments[0]["body"]
    github.figures = {BASE: {"fig01.png": "1"}, HEAD: {"fig01.png": "1"}}
    printed(capsys)
    assert "No figure differs (of 1)." in github.comments[0]["body"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("GITHUB_API_URL", "", "GITHUB_API_URL is ''; this runs in a job of GitHub Actions"),
        ("GITHUB_API_URL", "file:///etc", "GITHUB_API_URL is 'file:///etc'"),
        ("GITHUB_TOKEN", "", "GITHUB_TOKEN is not set"),
        ("GITHUB_EVENT_PATH", "", "GITHUB_EVENT_PATH is ''"),
    ],
)
def test_outside_of_a_job(
    github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=sentence):
        comment.main()


def test_another_event(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job(github, {"pull_request": {}}, tmp_path, monkeypatch)
    with pytest.raises(UserError, match=r"is no event workflow_run \(at workflow_run\)"):
        comment.main()


def test_a_run_of_another_trigger(
    github: FakeGitHub, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(github, run_event(event="push"), tmp_path, monkeypatch)
    assert printed(capsys) == "No comment: the run was for push, not for a pull request."
    assert not github.requests

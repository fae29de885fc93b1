"""The study's figures as a comment shows them: those in git, linked by commit.

A page of GitHub shows no picture that is not at an address: neither a data URI nor a file of an
artifact. Where the repository is private it does not show these either, so a link is beside each.
"""

import re
from collections.abc import Iterator

from latent_digits.github.api import GitHub, RefusedError
from latent_digits.github.events import Repository

FOLDER = "reports/figures"
MOST = 20  # rows, of some 800 characters each
PLAIN = re.compile(r"[\w-]{1,60}\.png", re.ASCII)  # a stranger's names: nothing that is Markdown
Blobs = dict[str, str]  # git's digest of the content, by name


def figures(github: GitHub, repository: Repository, base: str, head: str) -> str:
    """A table of the figures that differ between two commits, "" where there is none in either.

    `base` is "" where it is not known: then all are shown.
    """
    before = blobs(github, repository, base) if base else {}
    after = blobs(github, repository, head)
    names = sorted(before.keys() | after.keys())
    different = [name for name in names if before.get(name) != after.get(name)]
    if not different:
        return f"No figure differs (of {len(names)})." if names else ""
    rows = [
        f"| {name} | {side(repository, base, name, before)} "
        f"| {side(repository, head, name, after)} |"
        for name in different[:MOST]
    ]
    title = f"{len(different)} of {len(names)} figures differ"
    if len(different) > MOST:
        title += f"; the first {MOST} of them"
    head_of_table = ["| figure | base | this pull request |", "| --- | --- | --- |"]
    fold = f"<details><summary>{title}</summary>"
    return "\n".join([fold, "", *head_of_table, *rows, "", "</details>"])


def blobs(github: GitHub, repository: Repository, commit: str) -> Blobs:
    """The figures that a commit holds; none where it, or their folder, is not there."""
    try:
        found = github.get(f"/repos/{repository.full_name}/contents/{FOLDER}", ref=commit)
    except RefusedError as error:
        if error.status != 404:
            raise
        return {}
    return dict(named(found)) if isinstance(found, list) else {}  # a file has this name


def named(entries: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if entry["type"] == "file" and PLAIN.fullmatch(entry["name"]):
            yield entry["name"], entry["sha"]


def side(repository: Repository, commit: str, name: str, there: Blobs) -> str:
    """The figure and a link to it, or nothing where the commit has none."""
    address = f"{repository.html_url}/blob/{commit}/{FOLDER}/{name}"
    picture = f"![{name}]({address}?raw=true)"
    return f"{picture}<br>[{name}]({address})" if name in there else ""

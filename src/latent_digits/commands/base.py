"""The commit that a pull request is compared with in CI: where it has left its base branch.

`make base`. A shallow clone does not know it, GitHub does. It becomes the output `sha` of the step.
"""

import os
from pathlib import Path

from latent_digits.console import UserError, run_stage, say
from latent_digits.github.api import github
from latent_digits.github.events import PullRequestEvent, read_event


def main() -> None:
    event = read_event(PullRequestEvent)
    base, head = event.pull_request.base, event.pull_request.head
    found = base.sha
    try:
        ends = f"{base.sha}...{head.sha}"
        path = f"/repos/{event.repository.full_name}/compare/{ends}"
        found = github().get(path, per_page=1)["merge_base_commit"]["sha"]
    except UserError as error:
        say(f"{error} Until then it is compared with the branch {base.ref} as it is now.")
    print(f"base: {found}")
    if place := os.environ.get("GITHUB_OUTPUT"):
        with Path(place).open("a", encoding="utf-8") as output:
            output.write(f"sha={found}\n")


if __name__ == "__main__":
    run_stage(main)

"""The comparison in a run's artifact. A stranger's code has made it: nothing of it is believed.

It is read in memory and never unpacked, so no path in it leads anywhere. No word of it is printed:
a line of a log can be a command to GitHub's runner.
"""

import io
import zipfile
from typing import Any

from pydantic import ValidationError

from latent_digits.comparison.values import Comparison
from latent_digits.console import UserError
from latent_digits.github.api import GitHub

NAME, MEMBER = "comparison", "compare.json"
MOST_PACKED, MOST = 5_000_000, 10_000_000  # bytes; ours has some 100,000


def find_artifact(github: GitHub, repository: str, run: int) -> dict[str, Any] | None:
    """The run's artifact with the comparison; the newest, where the run was tried again."""
    path = f"/repos/{repository}/actions/runs/{run}/artifacts"
    found = github.get(path, name=NAME, per_page=100)["artifacts"]
    kept = [one for one in found if one["name"] == NAME and not one["expired"]]
    return max(kept, key=lambda one: one["id"], default=None)


def read_artifact(github: GitHub, repository: str, artifact: dict[str, Any]) -> Comparison:
    """Raises UserError where it is not what `make compare` writes."""
    if artifact["size_in_bytes"] > MOST_PACKED:
        raise too_large(artifact["size_in_bytes"], MOST_PACKED)
    packed = github.download(f"/repos/{repository}/actions/artifacts/{artifact['id']}/zip", MOST)
    if len(packed) > MOST_PACKED:
        raise too_large(len(packed), MOST_PACKED)
    return parsed(unpacked(packed))


def unpacked(content: bytes) -> bytes:
    """The one file in a zip archive, which must be `compare.json` and nothing beside it."""
    found = b""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            # Of other methods, some let the archive say how much memory to take.
            methods = {one.compress_type for one in archive.infolist()}
            if names == [MEMBER] and methods <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                with archive.open(MEMBER) as file:
                    found = file.read(MOST + 1)  # no further, whatever size the archive says
    except Exception:  # the library has a dozen kinds for what is malformed
        raise UserError(
            f"the artifact {NAME} is no readable zip archive; it is not used. Run the pull "
            "request's workflow again."
        ) from None
    if names != [MEMBER]:
        raise UserError(
            f"the artifact {NAME} holds something else than the one file {MEMBER} "
            f"({len(names)} in all); it is not used. Upload that one file."
        )
    if len(found) > MOST:
        raise too_large(len(found), MOST)
    return found


def parsed(content: bytes) -> Comparison:
    """Raises UserError where it is no comparison; says where, in names of our own alone."""
    try:
        return Comparison.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"] if is_ours(part))
        raise UserError(
            f"{MEMBER} of the artifact is no comparison ({first['type']} at "
            f"{place or 'its beginning'}, {error.error_count()} faults in all); it is not used. "
            "`make compare` writes a valid one; one of another version of this project is none."
        ) from None


def is_ours(part: int | str) -> bool:
    """Whether a place in a comparison is a number, or one of the names of its own fields."""
    return isinstance(part, int) or part in Comparison.model_fields


def too_large(found: int, most: int) -> UserError:
    return UserError(
        f"the artifact {NAME} has {found:,} bytes or more, and {most:,} are allowed; it is not "
        "used. Ours are far smaller: see what was uploaded."
    )

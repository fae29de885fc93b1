"""GitHub's REST API, as far as CI needs it, through the standard library.

Source: https://docs.github.com/rest (pages, redirects of an artifact's download, errors).
"""

import json
import os
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from latent_digits.console import UserError

PER_PAGE = 100
SECONDS = 60  # without a byte
MOST = 64_000_000  # bytes of an answer: a page of the longest comments takes half of that


class RefusedError(UserError):
    """An answer that says no; `status` is its HTTP status."""

    def __init__(self, status: int, what: str, said: str):
        super().__init__(f"GitHub answers {status} to {what}: {said}")
        self.status = status


class NoRedirect(HTTPRedirectHandler):
    """Redirects are errors: urllib would take the token along to another host."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class GitHub:
    """The API at `address`, asked in the name of `token`."""

    def __init__(self, address: str, token: str):
        self.address = address.rstrip("/")
        self.token = token
        self.opener = build_opener(NoRedirect)

    def get(self, path: str, **query: object) -> Any:
        return self.ask("GET", path + (f"?{urlencode(query)}" if query else ""))

    def pages(self, path: str, **query: object) -> Iterator[Any]:
        """Every item of a list, page after page, as they are taken."""
        page = 1
        while True:
            items = self.get(path, **query, per_page=PER_PAGE, page=page)
            yield from items
            if len(items) < PER_PAGE:
                return
            page += 1

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """The JSON that GitHub answers. Raises RefusedError, and UserError without an answer."""
        data = None if body is None else json.dumps(body).encode()
        try:
            return json.loads(self.read(self.request(method, path, data), MOST))
        except HTTPError as error:
            raise refused(error, f"{method} {path}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise self.silent(error) from None

    def download(self, path: str, most: int) -> bytes:
        """The bytes to which `path` redirects, at most `most` and one: more are cut off.

        The place is a store of files elsewhere, which is not shown the token.
        """
        try:
            self.read(self.request("GET", path), 0)
        except HTTPError as error:
            place = error.headers.get("Location", "")
            if error.code not in (301, 302, 303, 307, 308) or not self.is_safe(place):
                raise refused(error, f"GET {path}") from None
        except (OSError, HTTPException) as error:
            raise self.silent(error) from None
        else:
            raise UserError(f"GitHub does not say where {path} is stored; run this job again.")
        try:
            return self.read(Request(place), most)  # noqa: S310 (is_safe)
        except (OSError, HTTPException) as error:
            raise UserError(
                f"the store of GitHub's artifacts does not give {path} ({reason(error)}); run this "
                "job again."
            ) from None

    def request(self, method: str, path: str, data: bytes | None = None) -> Request:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "latent-digits",
        }
        return Request(self.address + path, data, headers, method=method)  # noqa: S310 (`github`)

    def read(self, request: Request, most: int) -> bytes:
        answer: IO[bytes]
        with self.opener.open(request, timeout=SECONDS) as answer:
            return answer.read(most + 1)

    def is_safe(self, place: str) -> bool:
        """Whether the place is named, and not read more openly than the API itself."""
        return urlsplit(place).scheme in {"https", urlsplit(self.address).scheme}

    def silent(self, error: Exception) -> UserError:
        return UserError(f"{self.address} gives no answer ({reason(error)}); run this job again.")


def github() -> GitHub:
    """The API of the job that this runs in. Raises UserError outside of one."""
    address, token = (os.environ.get(name, "") for name in ("GITHUB_API_URL", "GITHUB_TOKEN"))
    if urlsplit(address).scheme not in ("http", "https"):
        raise UserError(
            f"GITHUB_API_URL is {address!r}; this runs in a job of GitHub Actions, which sets it "
            "to an address that begins with https://."
        )
    if not token:
        raise UserError(
            "GITHUB_TOKEN is not set; give the step `env: GITHUB_TOKEN: ${{ github.token }}`."
        )
    return GitHub(address, token)


def refused(error: HTTPError, what: str) -> RefusedError:
    """With what GitHub says of it, which is a JSON object with a message, or nothing."""
    try:
        said = json.loads(error.read(MOST))["message"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        said = error.reason
    return RefusedError(error.code, what, " ".join(str(said).split())[:300])


def reason(error: Exception) -> str:
    """What went wrong, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

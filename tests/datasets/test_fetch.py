from __future__ import annotations

import functools
import hashlib
import json
import sys
import threading
import types
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import cli
from pneumoscope.datasets.fetch import fetch as room
from pneumoscope.datasets.fetch.download import Download
from pneumoscope.datasets.fetch.fetch import CITATION, LICENCE, MENDELEY, fetch_archive, fetch_kaggle
from pneumoscope.datasets.registry import find_images
from pneumoscope.errors import DataError


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def source(data_dir: Path, tmp_path: Path) -> Path:
    """The data folder as an archive, in a folder that is served."""
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / "data.zip", "w") as archive:
        for file in data_dir.rglob("*.png"):
            archive.write(file, Path("chest_xray") / file.relative_to(data_dir))
    return served / "data.zip"


@pytest.fixture
def url(source: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(source.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/data.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["data", "fetch", *arguments])


def test_an_archive_becomes_a_data_folder(url: str, source: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    out = tmp_path / "out"
    result = run("--out", str(out), "--url", url, "--sha256", digest.upper())
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}  28 images, archive SHA-256 {digest}\n"
    assert LICENCE in result.stderr
    assert CITATION in result.stderr
    assert "Research use only. Not a medical device." in result.stderr
    assert len(find_images(out, ["train", "val"])) == 28
    assert sorted(path.name for path in out.iterdir()) == ["source.json", "train", "val"]
    record = json.loads((out / "source.json").read_text("utf-8"))
    assert (record["source"], record["sha256"], record["licence"]) == (url, digest, LICENCE)


def test_a_hash_that_is_not_known_must_be_accepted(url: str, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("--out", str(out), "--url", url)
    assert result.exit_code == 1
    assert hashlib.sha256(source.read_bytes()).hexdigest() in result.stderr
    assert not (out / "train").exists()
    assert run("--out", str(out), "--url", url, "--accept-unverified").exit_code == 0
    assert (out / "train" / "NORMAL").is_dir()


def test_a_wrong_hash_leaves_nothing(url: str, tmp_path: Path) -> None:
    result = run("--out", str(tmp_path / "out"), "--url", url, "--sha256", "0" * 64)
    assert result.exit_code == 1
    assert "it was deleted, try again" in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unsound_archive_does_not_end_as_a_data_folder(url: str, source: Path, tmp_path: Path) -> None:
    source.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(DataError, match="not a sound ZIP file"):
        fetch_archive(tmp_path / "out", Download(url), accept_unverified=True)
    assert not (tmp_path / "out" / "train").exists()


def test_a_filled_folder_is_refused_before_anything_is_sent(data_dir: Path) -> None:
    with pytest.raises(DataError, match="holds train, val already"):
        fetch_archive(data_dir, Download("http://127.0.0.1:9/never-asked"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sha256", "abc"),
        ("--source", "kaggle", "--accept-unverified"),
        ("--source", "kaggle", "--url", "http://127.0.0.1/x"),
        ("--source", "elsewhere"),
    ],
)
def test_wrong_usage_ends_with_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run("--out", str(tmp_path / "out"), *arguments).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_kaggle_through_its_client(data_dir: Path, tmp_path: Path) -> None:
    asked = []

    def client(handle: str) -> str:
        asked.append(handle)
        return str(data_dir)

    fetched = fetch_kaggle(tmp_path / "out", client=client)
    assert asked == ["paultimothymooney/chest-xray-pneumonia"]
    assert (fetched.images, fetched.sha256) == (28, None)
    assert len(find_images(tmp_path / "out", ["train", "val"])) == 28
    assert len(find_images(data_dir, ["train", "val"])) == 28  # the client's cache stays as it was


def test_kagglehub_is_called_by_its_name_and_its_refusals_are_ours(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kagglehub
    from kagglehub.exceptions import UnauthenticatedError

    monkeypatch.setattr(kagglehub, "dataset_download", lambda _: str(data_dir))
    assert fetch_kaggle(tmp_path / "out").images == 28

    def refused(handle: str) -> str:
        raise UnauthenticatedError

    monkeypatch.setattr(kagglehub, "dataset_download", refused)
    with pytest.raises(DataError, match="kaggle paultimothymooney/chest-xray-pneumonia: could not be fetched"):
        fetch_kaggle(tmp_path / "out2")


def test_without_kagglehub_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert isinstance(room, types.ModuleType)
    result = run("--out", str(tmp_path / "out"), "--source", "kaggle")
    assert result.exit_code == 1
    assert "pip install 'pneumoscope[data]'" in result.stderr


def test_the_archive_is_of_the_published_version_and_states_no_hash_that_was_not_checked() -> None:
    assert MENDELEY.url.startswith("https://data.mendeley.com/public-files/datasets/rscbjbr9sj/")
    assert "10.17632/rscbjbr9sj.2" in CITATION
    assert MENDELEY.sha256 is None

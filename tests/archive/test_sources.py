"""Every kind of source lists the same inputs in the same order each time and gives their bytes."""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pneumoscope.archive.sources import open_source
from pneumoscope.errors import ArchiveError, UnreadableInputError
from support import phantom
from support.archives import make_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("archive") / "images", 4)


def test_a_folder_is_listed_in_the_order_of_its_paths_and_loops_end(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(archive)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "images.png").write_bytes(b"x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    source = open_source(str(tmp_path))
    names = [item.name for item in source.items()]
    assert names == [str(path) for path in sorted(map(Path, names))]
    assert len(names) == 7
    assert all(item.size == Path(item.name).stat().st_size for item in source.items())
    assert source.read(next(source.items())) == Path(names[0]).read_bytes()


def test_a_file_that_went_away_is_unreadable(archive: Path, tmp_path: Path) -> None:
    copy = tmp_path / "x.png"
    copy.write_bytes(b"x")
    source = open_source(str(tmp_path))
    (item,) = source.items()
    copy.unlink()
    with pytest.raises(UnreadableInputError, match="cannot be read"):
        source.read(item)


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_manifest_gives_its_rows_in_order_and_filters(archive: Path, tmp_path: Path, delimiter: str) -> None:
    rows = [("path", "view"), ("b.png", "PA"), ("a.png", "AP"), ("c.png", "PA")]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    names = [Path(item.name).name for item in open_source(str(tmp_path / "list.csv")).items()]
    assert names == ["b.png", "a.png", "c.png"]
    filtered = open_source(str(tmp_path / "list.csv"), where="view=PA").items()
    assert [Path(item.name).name for item in filtered] == ["b.png", "c.png"]
    with pytest.raises(ArchiveError, match="has no column 'file'; it has path, view"):
        list(open_source(str(tmp_path / "list.csv"), column="file").items())
    with pytest.raises(ArchiveError, match="must be COLUMN=VALUE"):
        open_source(str(tmp_path / "list.csv"), where="PA")


def test_a_parquet_manifest(archive: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"path": ["b.png", "a.png"], "age": [3, 41]}), tmp_path / "list.parquet")
    source = open_source(str(tmp_path / "list.parquet"), where="age=41")
    assert [Path(item.name).name for item in source.items()] == ["a.png"]


@pytest.mark.parametrize("compressed", [False, True])
def test_members_of_a_tar_and_a_zip_are_read_without_unpacking(archive: Path, tmp_path: Path, compressed: bool) -> None:
    files = sorted(archive.rglob("*.png"))
    with (
        tarfile.open(tmp_path / "x.tar", "w:gz" if compressed else "w") as tar,
        zipfile.ZipFile(tmp_path / "x.zip", "w") as bundle,
    ):
        for number, file in enumerate(files):
            tar.add(file, f"{number}.png")
            bundle.write(file, f"{number}.png")
            for other in (f"{number}.cls", f"{number}.json"):  # a WebDataset shard's labels
                tar.addfile(tarfile.TarInfo(other), io.BytesIO())
                bundle.writestr(other, "")
    for name in ("x.tar", "x.zip"):
        source = open_source(str(tmp_path / name))
        items = list(source.items())
        assert [item.name for item in items] == [f"{tmp_path / name}::{number}.png" for number in range(len(files))]
        for item, file in reversed(list(zip(items, files, strict=True))):
            assert source.read(item) == file.read_bytes()


def test_an_object_store(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        client = boto3.client("s3")
        client.create_bucket(Bucket="scans")
        for file in sorted(archive.rglob("*.png")):
            client.put_object(Bucket="scans", Key=f"in/{file.relative_to(archive)}", Body=file.read_bytes())
        source = open_source("s3://scans/in")
        items = list(source.items())
        assert [item.name for item in items] == [
            f"s3://scans/in/{file.relative_to(archive)}" for file in sorted(archive.rglob("*.png"))
        ]
        assert source.read(items[0]) == sorted(archive.rglob("*.png"))[0].read_bytes()
        changed = items[0].name.removeprefix("s3://scans/")
        client.put_object(Bucket="scans", Key=changed, Body=b"another")
        assert source.stamp(items[0]) != items[0]
        assert source.stamp(items[-1]) == items[-1]
        with pytest.raises(ArchiveError, match="cannot be listed"):
            list(open_source("s3://no-such-bucket/in").items())
    finally:
        server.stop()


class _Dicomweb(BaseHTTPRequestHandler):
    """A DICOMweb server of one series with two instances, which answers every third request with 500."""

    content = phantom.dicom_bytes(phantom.dicom_dataset(phantom.chest_phantom(256)))
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        if type(self).asked % 3 == 0:
            self.send_error(500)
            return
        path = self.path.partition("?")[0]
        kind = "application/dicom+json"
        if path == "/dicom-web/series":
            body = (
                b'[{"0020000D": {"Value": ["1.2"]}, "0020000E": {"Value": ["1.2.3"]}, "00080060": {"Value": ["DX"]}}]'
            )
        elif path.endswith("/instances"):
            body = b'[{"00080018": {"Value": ["1.2.3.5"]}}, {"00080018": {"Value": ["1.2.3.4"]}}]'
        else:
            kind = 'multipart/related; type="application/dicom"; boundary=edge'
            body = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + self.content + b"\r\n--edge--"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def dicomweb() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Dicomweb)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"dicomweb+http://127.0.0.1:{server.server_port}/dicom-web"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_dicomweb_server_that_fails_now_and_then(dicomweb: str) -> None:
    source = open_source(dicomweb)
    items = list(source.items())
    assert [item.name.rpartition("/")[2] for item in items] == ["1.2.3.4", "1.2.3.5"]
    assert source.read(items[0]) == _Dicomweb.content


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nowhere", "no such folder or file"),
        ("nonsense://x", "nonsense"),
        ("dicomweb+http://127.0.0.1:9/dicom-web", "cannot be listed"),
    ],
)
def test_what_is_no_source_is_named(address: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pneumoscope.archive.sources.dicomweb.ATTEMPTS", 1)
    with pytest.raises(ArchiveError, match=words):
        list(open_source(address).items())


def test_a_file_of_another_kind_and_a_filter_on_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ArchiveError, match="not a source; give a folder"):
        open_source(str(tmp_path / "notes.txt"))
    with pytest.raises(ArchiveError, match="--where chooses rows of a manifest"):
        open_source(str(tmp_path), where="a=b")


def test_a_password_in_an_address_is_refused_since_the_job_s_folder_keeps_addresses() -> None:
    with pytest.raises(ArchiveError, match="PNEUMOSCOPE_DICOMWEB_PASSWORD") as refused:
        open_source("dicomweb+https://anna:secret@127.0.0.1/dicom-web")
    assert "secret" not in str(refused.value)

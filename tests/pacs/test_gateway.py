"""The gateway as a whole, without an archive: recovery, locks, the page, the trail, and what the commands say."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import cli
from pneumoscope.errors import GatewayError
from pneumoscope.model.classifier import Model
from pneumoscope.pacs.audit import AuditTrail
from pneumoscope.pacs.content import content_sha256
from pneumoscope.pacs.gateway import Gateway, purge
from pneumoscope.pacs.jobs import Arrival, State
from pneumoscope.pacs.judge import Judge
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import Archive, Settings, StatusPage
from pneumoscope.pacs.spool import Spool
from pneumoscope.pacs.status import StatusServer
from support.dicom_tools import child_file

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom"),
    # pynetdicom leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(spool=tmp_path / "spool", audit_log=tmp_path / "audit.jsonl", archive=Archive(port=1))


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Gateway]:
    gateway = Gateway(settings)
    yield gateway
    gateway.close()


def put(gateway: Gateway, number: int, content: bytes | None = None) -> Arrival:
    content = content or child_file(number)
    uid = f"1.2.826.0.1.3680043.10.999.{number + 1}.1.1"
    file = gateway.spool.keep_image(uid, content_sha256(content), content)
    return Arrival(uid, content_sha256(content), f"1.2.826.0.1.3680043.10.999.{number + 1}", f"A{number}", "CR1", file)


def judge(gateway: Gateway, model: Model) -> None:
    judge = Judge(gateway.settings, model, gateway.queue, gateway.spool, gateway.audit)
    while judge.step():
        pass


def test_images_without_a_row_get_one_and_half_files_go(gateway: Gateway) -> None:
    known = put(gateway, 1)
    gateway.queue.add([known])
    put(gateway, 2)
    half = gateway.spool.incoming / "x.dcm.1-abc.partial"
    half.write_bytes(b"half")
    assert gateway.recover() == 1
    assert gateway.recover() == 0
    assert not half.exists()
    assert {job.arrival.source for job in gateway.queue.recent()} == {"CR1", "recovered"}


def test_an_orphan_of_a_purged_image_goes(gateway: Gateway, model: Model) -> None:
    gateway.queue.add([put(gateway, 1, child_file(1, ViewPosition="LL"))])
    judge(gateway, model)
    assert purge(gateway.settings, gateway.queue, gateway.spool, gateway.audit) == 1
    assert list(gateway.spool.images()) == []
    put(gateway, 1, child_file(1, ViewPosition="LL"))
    assert gateway.recover() == 0
    assert list(gateway.spool.images()) == []


def test_two_gateways_do_not_share_a_spool(gateway: Gateway) -> None:
    with pytest.raises(GatewayError, match="another gateway"):
        Gateway(gateway.settings)


def test_judging_keeps_results_and_reasons(gateway: Gateway, model: Model) -> None:
    gateway.queue.add([put(gateway, 1), put(gateway, 2, child_file(2, ViewPosition="LL"))])
    judge(gateway, model)
    counts = gateway.queue.counts()
    assert (counts[State.JUDGED], counts[State.REFUSED]) == (1, 1)
    files = [gateway.spool.path(each.file or "") for each in gateway.queue.objects(1)]
    assert all(file.is_file() for file in files)
    assert len(files) == 2


def test_an_image_whose_file_is_gone_is_given_up(gateway: Gateway, model: Model) -> None:
    arrival = put(gateway, 1)
    gateway.queue.add([arrival])
    gateway.spool.remove(arrival.file)
    judge(gateway, model)
    (dead,) = gateway.queue.dead()
    assert dead.failure == "its file is not in the spool"


def test_an_image_that_breaks_a_library_is_given_up_and_the_rest_goes_on(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pneumoscope.pacs import judge as room
    from pneumoscope.pacs.objects import make_objects as real
    from pneumoscope.pacs.settings import Retry

    def make(content: bytes, *arguments: object, **options: object) -> object:
        if b"CHILD1" in content:
            raise ZeroDivisionError("Phantom^Chest")
        return real(content, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "make_objects", make)
    monkeypatch.setattr(Retry, "delay", lambda *_: 0.0)
    gateway.queue.add([put(gateway, 1), put(gateway, 2)])
    judge(gateway, model)
    (dead,) = gateway.queue.dead()
    assert dead.failure == "unexpected ZeroDivisionError", "a library's message may quote a header"
    assert gateway.queue.counts()[State.JUDGED] == 1


def test_a_full_disk_while_judging_puts_the_image_off(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.queue.add([put(gateway, 1)])
    worker = Judge(gateway.settings, model, gateway.queue, gateway.spool, gateway.audit)

    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "keep_result", full)
    monkeypatch.setattr(Queue, "postpone", full)  # no room for a note either
    with pytest.raises(OSError, match="No space"):
        worker.step()
    with pytest.raises(OSError, match="No space"):
        worker.step()
    monkeypatch.undo()
    assert gateway.queue.counts()[State.RECEIVED] == 1
    assert worker.step(), "at once when there is room, not at the end of the lease"
    assert gateway.queue.counts()[State.JUDGED] == 1


class TestStatus:
    @pytest.fixture
    def url(self, gateway: Gateway, model: Model) -> Iterator[str]:
        gateway.queue.add([put(gateway, 1), put(gateway, 2, child_file(2, ViewPosition="LL"))])
        judge(gateway, model)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        shown = Settings(spool=gateway.settings.spool, status=StatusPage(port=port))
        server = StatusServer(shown, gateway.open_queue, gateway.spool)
        yield f"http://127.0.0.1:{server.start()}"
        server.stop()

    def get(self, url: str, **headers: str) -> str:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return str(answer.read().decode())

    def test_the_page_shows_work_and_no_identity(self, url: str) -> None:
        page = self.get(url)
        assert "view LL" in page
        assert "Research use only" in page
        for identity in ("A1", "CHILD1", "Phantom", "1.2.826.0.1.3680043.10.999.2"):
            assert f">{identity}<" not in page

    def test_metrics_are_prometheus(self, url: str) -> None:
        lines = self.get(f"{url}/metrics").splitlines()
        assert 'pneumoscope_pacs_jobs{state="judged"} 1.0' in lines
        assert 'pneumoscope_pacs_not_judged{reason="view LL"} 1.0' in lines
        assert any(line.startswith('pneumoscope_pacs_oldest_seconds{state="judged"}') for line in lines)

    @pytest.mark.parametrize(("path", "host", "code"), [("/x", "127.0.0.1", 404), ("/", "evil.example", 403)])
    def test_nothing_else_is_served(self, path: str, host: str, code: int, url: str) -> None:
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.get(url + path, Host=host)
        assert caught.value.code == code
        caught.value.close()


def test_the_trail_has_keyed_hashes_that_only_the_key_explains(tmp_path: Path) -> None:
    first, again = AuditTrail(tmp_path, tmp_path / "a"), AuditTrail(tmp_path, tmp_path / "a")
    (tmp_path / "other").mkdir()
    other = AuditTrail(tmp_path / "other", tmp_path / "b")
    assert first.hashed("1.2.3") == again.hashed("1.2.3") != other.hashed("1.2.3")
    assert (tmp_path / "audit.key").stat().st_mode & 0o077 == 0


class TestCommands:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "gateway.toml"
        file.write_text('spool = "spool"\naudit_log = "audit.jsonl"\n[archive]\nport = 1\n')
        return file

    def run(self, *arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(cli, ["pacs", *map(str, arguments)], catch_exceptions=False)
        return result.exit_code, result.output

    def test_make_writes_the_objects(self, tmp_path: Path, model_content: bytes) -> None:
        (tmp_path / "m.tflite").write_bytes(model_content)
        (tmp_path / "a.dcm").write_bytes(child_file())
        (tmp_path / "b.dcm").write_bytes(b"no DICOM")
        out = tmp_path / "out"
        model = ("--model", tmp_path / "m.tflite")
        code, said = self.run("make", tmp_path / "a.dcm", tmp_path / "b.dcm", "--out", out, *model)
        assert code == 1
        assert "Pneumonia:" in said
        assert sorted(file.name for file in out.iterdir()) == ["a.capture.dcm", "a.report.dcm"]
        code, _ = self.run("make", tmp_path / "a.dcm", "--out", out, *model)
        assert code == 0

    def test_status_retry_and_purge(self, file: Path, gateway: Gateway, model: Model) -> None:
        gateway.queue.add([put(gateway, 1), put(gateway, 2, child_file(2, ViewPosition="LL"))])
        judge(gateway, model)
        (job,) = gateway.queue.claim(State.JUDGED, lease_seconds=60)
        gateway.queue.finish(job, State.DEAD, failure="refused")
        code, said = self.run("status", "--settings", file)
        assert code == 0
        assert "given up: image 1: refused" in said
        assert "not judged: 1 x view LL" in said
        code, said = self.run("status", "--settings", file, "--json")
        assert json.loads(said)["jobs"]["dead"] == 1
        assert self.run("retry", "--settings", file)[1].startswith("1 put back")
        assert self.run("purge", "--settings", file)[1].startswith("files of 1 images")

    def test_without_a_queue_they_say_so(self, file: Path) -> None:
        code, said = self.run("status", "--settings", file)
        assert code == 2
        assert "no queue there" in said

    def test_check_says_what_is_wrong(self, file: Path, model_content: bytes) -> None:
        (file.parent / "m.tflite").write_bytes(model_content)
        text = file.read_text() + '[judging]\nmodel = "m.tflite"\n[receive]\nport = 0\n'
        file.write_text(text)
        code, said = self.run("check", "--settings", file, "--watch")
        assert code == 1
        assert "ok   model" in said
        assert "FAIL archive: archive ORTHANC at 127.0.0.1:1: cannot be reached" in said
        assert "FAIL watched server" in said
        assert "ok   whole path: the sample was received and judged" in said, said


def test_a_queue_is_readable_while_others_write(gateway: Gateway) -> None:
    reader = Queue(gateway.spool.queue_file)
    gateway.queue.add([put(gateway, 1)])
    assert reader.counts()[State.RECEIVED] == 1
    reader.close()

"""Against a real archive: results arrive whole and once, whoever is killed whenever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pydicom
import pytest
from pydicom.dataset import Dataset

from pneumoscope.pacs.jobs import State
from pneumoscope.pacs.steps import Step
from support.dicom_tools import child_file, child_radiograph, complaints, read_tid1500
from support.orthanc import MISSING, is_installed, loopback_only
from support.site import Hospital, until

STUDIES = 40
BATCH = 4

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def network() -> Iterator[None]:
    """A network with nothing but loopback; and no silence where there is no Orthanc."""
    if not is_installed():
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with loopback_only():
        yield


@pytest.fixture
def make_hospital(tmp_path: Path, model_content: bytes) -> Iterator[Callable[..., Hospital]]:
    made: list[Hospital] = []

    def make(**options: Any) -> Hospital:
        hospital = Hospital(tmp_path / f"hospital{len(made)}", model_content, **options)
        made.append(hospital)
        hospital.orthanc.start()
        return hospital

    yield make
    for hospital in made:
        hospital.close()


def studies(number: int) -> list[Dataset]:
    return [child_radiograph(each) for each in range(number)]


@pytest.mark.timeout(1800)
def test_results_survive_death_at_every_step(make_hospital: Callable[..., Hospital]) -> None:
    """Killed at each step, workers and archive killed at any time: the same bytes as from an unbroken run."""
    unbroken = make_hospital()
    unbroken.start()
    unbroken.send_until_taken(studies(STUDIES))
    unbroken.until_done(STUDIES)
    expected = unbroken.orthanc.results()
    assert len(expected) == 2 * STUDIES
    assert unbroken.stop() == 0

    broken = make_hospital()
    every = tuple(Step)
    broken.start(every)
    for first in range(0, STUDIES, BATCH):
        broken.send_until_taken(studies(STUDIES)[first : first + BATCH], every)
        if first == 0:
            broken.orthanc.kill()
            _kill_a_worker(broken)
            time.sleep(1)
            broken.orthanc.start()
    broken.until_done(STUDIES, die_at=every)
    assert {grave.name for grave in (broken.folder / "grave").iterdir()} == {step.name for step in Step}
    assert broken.deaths > len(Step) // 2, "two may die of one kill"
    assert broken.orthanc.results() == expected
    counts = broken.counts()
    assert counts[State.COMMITTED] == STUDIES == sum(counts.values())


def _kill_a_worker(hospital: Hospital) -> None:
    assert hospital.gateway is not None
    children = psutil.Process(hospital.gateway.pid).children() if not hospital.gateway_died() else []
    for child in children[-1:]:
        child.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("dicomweb", [False, True], ids=["C-STORE", "STOW-RS"])
def test_following_orthanc_to_objects_that_validators_accept(
    dicomweb: bool, make_hospital: Callable[..., Hospital], tmp_path: Path
) -> None:
    hospital = make_hospital(mode="watch", dicomweb=dicomweb)
    hospital.orthanc.upload(child_file(1))
    hospital.start()
    hospital.orthanc.upload(child_file(2))
    hospital.orthanc.upload(child_file(3, PatientAge="034Y"))
    hospital.until_done(2)
    hospital.until_done(1, State.REFUSED)
    results = hospital.orthanc.results()
    assert len(results) == 4
    for uid, content in results.items():
        file = tmp_path / f"{uid}.dcm"
        file.write_bytes(content)
        assert complaints(file) == []
        dataset = pydicom.dcmread(file)
        if dataset.Modality == "SR":
            assert read_tid1500(file, tmp_path)["Measurements"]
        else:
            assert dataset.pixel_array.shape[2] == 3
    time.sleep(1)
    assert sum(hospital.counts().values()) == 3, "its own results came back as work"
    preview = hospital.orthanc.session.get(
        f"{hospital.orthanc.url}/instances/{hospital.orthanc.find(Modality='OT')[0]}/preview", timeout=10
    )
    assert preview.ok, "Orthanc's viewer shows the capture"


def test_polling_a_dicomweb_server(make_hospital: Callable[..., Hospital]) -> None:
    hospital = make_hospital(mode="watch", dicomweb=True)
    text = hospital.settings.read_text().replace(
        f'url = "{hospital.orthanc.url}"', f'kind = "dicomweb"\ndays_back = 0\nurl = "{hospital.orthanc.url}/dicom-web"'
    )
    hospital.settings.write_text(text)
    hospital.orthanc.upload(child_file(1))
    hospital.start()
    hospital.orthanc.upload(child_file(2))
    hospital.until_done(2)
    assert len(hospital.orthanc.results()) == 4


def test_an_archive_that_was_away_gets_everything_when_it_is_back(make_hospital: Callable[..., Hospital]) -> None:
    hospital = make_hospital()
    hospital.orthanc.kill()
    hospital.start()
    hospital.send_until_taken(studies(2))
    until(lambda: "delivery waits" in hospital.trail(), "the archive is missed")
    hospital.orthanc.start()
    hospital.until_done(2)
    assert len(hospital.orthanc.results()) == 4


def test_dcmtk_sends_and_strangers_are_turned_away(make_hospital: Callable[..., Hospital], tmp_path: Path) -> None:
    hospital = make_hospital()
    hospital.start()
    file = tmp_path / "image.dcm"
    file.write_bytes(child_file(5))
    sent = ["storescu", "-aec", "PNEUMOSCOPE", "127.0.0.1", str(hospital.port), str(file)]
    assert subprocess.run([*sent, "-aet", "STRANGER"], check=False, capture_output=True).returncode != 0
    assert (
        subprocess.run([*sent, "-aet", "MODALITY", "-aec", "OTHER"], check=False, capture_output=True).returncode != 0
    )
    assert subprocess.run([*sent, "-aet", "MODALITY"], check=True, capture_output=True).returncode == 0
    hospital.until_done(1)
    assert len(hospital.orthanc.results()) == 2


def test_a_small_disk_that_fills_refuses_and_recovers(make_hospital: Callable[..., Hospital]) -> None:
    hospital = make_hospital()
    spool = hospital.folder / "spool"
    spool.mkdir(mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(spool)], check=False).returncode != 0:
        pytest.skip("no leave to mount a small disk")
    try:
        hospital.start()
        statuses = hospital.send([child_radiograph(number, side=1024) for number in range(10)])
        assert 0 in statuses
        assert 0xA700 in statuses
        taken = statuses.count(0)
        hospital.until_done(taken)
        purge = [sys.executable, "-m", "pneumoscope", "pacs", "purge", "--settings", str(hospital.settings)]
        subprocess.run(purge, check=True)
        hospital.send_until_taken([child_radiograph(number, side=1024) for number in range(10)])
        hospital.until_done(10)
        assert len(hospital.orthanc.results()) == 20
    finally:
        hospital.close()
        subprocess.run(["umount", "-l", str(spool)], check=False)

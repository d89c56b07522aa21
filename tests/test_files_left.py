"""What killed processes, full disks, links and spreadsheets do to files that are written."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pneumoscope.errors import DataError
from pneumoscope.files import only_one, read_csv, temporary_beside, write_atomically, written_cell
from pneumoscope.statistics.table import PredictionTable
from support.phantom import chest_phantom, encode


def ended_process() -> int:
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    assert process.pid
    return process.pid


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    gone = ended_process()
    stale = [tmp_path / f".writing-{gone}-a.json", tmp_path / f".writing-{gone}-b"]
    stale[0].write_text("x")
    stale[1].mkdir()
    (stale[1] / "inside").write_text("x")
    alive, other = tmp_path / f".writing-{os.getppid()}-a.json", tmp_path / f".writing-{gone}-c.json"
    alive.write_text("x")
    other.write_text("x")
    write_atomically(tmp_path / "a.json", b"{}")
    temporary_beside(tmp_path / "b")
    assert not any(path.exists() for path in stale)
    assert alive.exists() and other.exists()  # of a running process; of another file


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / "index.html").symlink_to(target)
    write_atomically(tmp_path / "index.html", b"page")
    assert target.read_text() == "kept" and not (tmp_path / "index.html").is_symlink()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pneumoscope.files import only_one\n"
        "with only_one(Path(sys.argv[1]), 'fetch'): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        with pytest.raises(DataError, match="in use by another fetch"), only_one(tmp_path, "fetch"):
            pass
        holder.kill()
    with only_one(tmp_path, "fetch"):
        pass


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-2.png", "@x", "plain.png", "'quoted", "'=x"])
def test_names_that_a_spreadsheet_would_compute(tmp_path: Path, name: str) -> None:
    assert not written_cell(name).startswith(("=", "+", "-", "@"))
    table = PredictionTable.from_arrays([0, 1], [0.25, 0.75], paths=[name, "b"], patients=[name, None])
    file = tmp_path / "predictions.csv"
    file.write_text(table.to_csv(0.5))
    read = PredictionTable.read_csv(file)
    assert read.paths == (name, "b") and read.patients == (name, None)


@pytest.mark.parametrize(
    ("called", "cleared"), [("True", "False"), ("1.0", "0.0"), ("pneumonia", "normal"), ("1", "0")]
)
def test_decisions_as_others_write_them(tmp_path: Path, called: str, cleared: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(f"path, label, probability, decision\na, 0, 0.3, {cleared}\nb, 1, 0.7, {called}\n")
    assert PredictionTable.read_csv(file).threshold == pytest.approx(0.7)
    file.write_text(f"path,label,probability,decision\na,0,0.3,{called}\nb,1,0.7,{cleared}\n")
    with pytest.raises(DataError, match="decisions do not follow"):
        PredictionTable.read_csv(file)
    file.write_text("path,label,probability,decision\na,0,0.3,perhaps\n")
    with pytest.raises(DataError, match="decision 'PERHAPS'"):
        PredictionTable.read_csv(file)


def test_the_separator_and_the_columns_are_named(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"\xef\xbb\xbfpath;label;probability\r\na;0;0,1\r\n")
    with pytest.raises(DataError, match=r"the columns 'path;label;probability', separated by semicolons"):
        PredictionTable.read_csv(file)
    file.write_bytes(b"\xef\xbb\xbf path , label,probability \r\na,0,0.1\r\n")
    assert read_csv(file).header == ("path", "label", "probability")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(encode(chest_phantom(200)))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pneumoscope", "predict", str(file)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "XNNPACK" not in line]
    assert lines == ["Error: standard output: cannot be used (No space left on device)"] or lines == [
        "Error: standard output: cannot be written (No space left on device)"
    ]


def test_names_of_version_3_carry_the_patient(tmp_path: Path) -> None:
    from pneumoscope.datasets.kermany import PatientKey, parse_name

    names = ("NORMAL-1003233-0001", "BACTERIA-1008087-0002", "VIRUS-1008087-0001")
    normal, bacteria, virus = (parse_name(name) for name in names)
    assert normal and bacteria and virus
    assert [facts.subtype for facts in (normal, bacteria, virus)] == ["NORMAL", "BACTERIAL", "VIRAL"]
    assert bacteria.key(PatientKey.PERSON) == virus.key(PatientKey.PERSON) != normal.key(PatientKey.PERSON)
    assert bacteria.key(PatientKey.AGENT) != virus.key(PatientKey.AGENT)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_a_name_that_is_no_utf8_is_named_before_anything_starts(tmp_path: Path) -> None:
    from pneumoscope.datasets.registry import find_images, scan_folder

    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").write_bytes(encode(np.zeros((150, 150), np.uint8)))
    (tmp_path / "NORMAL" / os.fsdecode(b"r\xf6ntgen.png")).write_bytes(b"x")
    with pytest.raises(DataError, match=r"r\\udcf6ntgen\.png': its name is not UTF-8; rename it"):
        find_images(tmp_path)
    assert len(scan_folder(tmp_path).images) == 2

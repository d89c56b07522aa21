"""``pneumoscope predict``: records, order, exit status, pictures, bad input."""

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pneumoscope.cli.opening import read_model_package
from pneumoscope.model import wording
from pneumoscope.model.packaging import pack
from pneumoscope.model.runtime import LiteRTRuntime, Outputs
from support import phantom
from support.cli_kit import Run

NOTICE = "Research use only. Not a medical device."
FIELDS = [
    "path", "sha256", "status", "label", "probability", "threshold", "operating_point", "subtype", "typicality",
    "reasons", "notes", "heatmap", "prediction_set", "lungs", "model",
]  # fmt: skip


def records(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def bomb() -> bytes:
    """A sound PNG of 30,000 x 30,000 black pixels, one bit each, in about 100 kB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")

    side = (30_000).to_bytes(4, "big")
    pixels = zlib.compress(bytes(30_000 * (1 + 30_000 // 8)), 1)
    header = chunk(b"IHDR", side + side + bytes([1, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def dicom(path: Path) -> bytes:
    phantom.dicom_dataset(phantom.chest_phantom(256).astype(np.uint16) * 16).save_as(path, enforce_file_format=True)
    return path.read_bytes()


def write_bad_inputs(folder: Path, chest: bytes) -> dict[str, tuple[str, str]]:
    """Write one file of every bad kind; gives (status, part of the reason) by name."""
    whole = dicom(folder / "whole.dcm")
    (folder / "whole.dcm").unlink()
    contents = {
        "bomb.png": (bomb(), "refused", "30000 x 30000 pixels"),
        "cut.dcm": (whole[: len(whole) // 2], "error", ""),
        "cut.jpeg": (chest[: len(chest) // 2], "error", "cut short"),
        "empty.png": (b"", "error", "0 bytes"),
        "small.png": (phantom.encode(phantom.chest_phantom(40)), "refused", "40 x 40 pixels, at least 128 x 128"),
        "text.png": (b"This is no picture.\n", "error", "not an image of a known format"),
    }
    for name, (content, _, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: (status, reason) for name, (_, status, reason) in contents.items()}


def test_a_record_has_the_promised_fields(run: Run, chest: Path, open_minded_model: Path) -> None:
    result = run("predict", chest, "--json", "--model", open_minded_model)
    (record,) = records(result.stdout)
    assert result.exit_code == 0
    assert list(record) == FIELDS
    assert (record["path"], record["status"], record["reasons"]) == (str(chest), "ok", [])
    assert record["label"] == ("PNEUMONIA" if record["probability"] >= record["threshold"] else "NORMAL")
    assert record["model"]["name"] == "open-minded"
    assert NOTICE in result.stderr


def test_each_bad_input_gets_its_record_and_the_good_are_judged(
    run: Run, chest: Path, open_minded_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    expected = write_bad_inputs(folder, chest.read_bytes())
    good = {"a_good.jpeg", "good.dcm", "z_good.jpeg"}
    for name in good - {"good.dcm"}:
        (folder / name).write_bytes(chest.read_bytes())
    dicom(folder / "good.dcm")
    (folder / "locked.png").write_bytes(chest.read_bytes())
    expected["locked.png"] = ("error", "no permission")
    read_bytes = Path.read_bytes

    def denied(path: Path) -> bytes:  # root may read anything, so permissions cannot be used here
        if path.name == "locked.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    result = run("predict", folder, folder / "missing.png", "--json", "--model", open_minded_model)
    expected["missing.png"] = ("error", "no such file")
    assert result.exit_code == 1
    found = {Path(record["path"]).name: record for record in records(result.stdout)}
    assert set(found) == good | set(expected)
    assert {name for name, record in found.items() if record["status"] == "ok"} == good
    for name, (status, reason) in expected.items():
        record = found[name]
        assert record["status"] == status, name
        assert record["label"] is record["probability"] is record["heatmap"] is None
        (said,) = record["reasons"]
        assert said.startswith(f"{record['path']}: "), said
        assert reason in said


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_thousand_good_and_one_bad(run: Run, tmp_path: Path, jobs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    constant = Outputs(0.9, np.array([0.1, 0.5, 0.4], np.float32), np.zeros((7, 7), np.float32), 1.0)
    monkeypatch.setattr(LiteRTRuntime, "run", lambda *_: constant)  # the network itself is not under test
    good = phantom.encode(phantom.chest_phantom(128), "JPEG")
    for number in range(1000):
        (tmp_path / f"{number:04}.jpeg").write_bytes(good)
    (tmp_path / "0500-bad.jpeg").write_bytes(good[:-600])
    result = run("predict", tmp_path, "--json", "--jobs", jobs)
    found = records(result.stdout)
    assert result.exit_code == 1
    assert [Path(record["path"]).name for record in found] == sorted(file.name for file in tmp_path.iterdir())
    assert [Path(record["path"]).name for record in found if record["status"] != "ok"] == ["0500-bad.jpeg"]


def test_the_table_says_the_same(run: Run, chest: Path, open_minded_model: Path) -> None:
    (record,) = records(run("predict", chest, "--json", "--model", open_minded_model).stdout)
    result = run("predict", chest, "nope\x1b[31m.png", "--model", open_minded_model)
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0].split() == ["result", "score", "file"]
    side = "above" if record["label"] == "PNEUMONIA" else "below"
    if record["prediction_set"] is not None and len(record["prediction_set"]) == 2:
        side = "uncertain"
    assert lines[1].startswith(side)
    assert lines[1].split()[-2:] == [wording.score(record["probability"], record["threshold"]), str(chest)]
    assert lines[2].split(maxsplit=2)[::2] == ["unreadable", "nope\\x1b[31m.png: no such file"]
    assert lines[-1] == NOTICE
    assert "2 inputs" in lines[-3]


def test_a_prevalence_says_what_score_and_result_mean(run: Run, chest: Path, calibrated_model: Path) -> None:
    arguments = ("predict", chest, "--model", calibrated_model)
    (plain,) = records(run(*arguments, "--json").stdout)
    assert "post_test" not in plain
    assert plain["prediction_set"] == ["NORMAL", "PNEUMONIA"]
    (record,) = records(run(*arguments, "--json", "--prevalence", "0.1").stdout)
    meaning = record.pop("post_test")
    assert record == plain
    p = record["probability"]
    assert meaning["probability"] == pytest.approx(0.1 * p / (0.1 * p + 0.9 * (1 - p)), abs=1e-5)
    assert meaning["threshold"] == pytest.approx(0.1)
    assert meaning["result"]["ci95"][0] < meaning["result"]["probability"] < meaning["result"]["ci95"][1]
    table = run(*arguments, "--prevalence", "0.1").stdout
    assert "where 10.0 % of the patients have pneumonia, this score means" in table
    assert "where half of the patients have it" in table
    assert "uncertain (" in table


@pytest.mark.parametrize(
    ("given", "said"),
    [("0", "strictly between 0 and 1"), ("1", "strictly"), ("7", "7 % is written 0.07"), ("ten", "is not a number")],
)
def test_what_is_no_prevalence_is_wrong_usage(run: Run, chest: Path, given: str, said: str) -> None:
    result = run("predict", chest, "--prevalence", given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_model_of_version_1_cannot_say_what_a_prevalence_makes_of_it(
    run: Run, chest: Path, open_minded_model: Path, tmp_path: Path
) -> None:
    package, _ = read_model_package(open_minded_model)
    old = dataclasses.replace(package.contract, calibration=None, conformal=None, contract_version=1)
    file = tmp_path / "version-1.tflite"
    file.write_bytes(pack(package.graph, old, package.card))
    result = run("predict", chest, "--model", file, "--prevalence", "0.1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pneumoscope calibrate" in result.stderr


def test_folder_without_images_and_empty_input_are_wrong_usage(run: Run, tmp_path: Path) -> None:
    for arguments, stdin in ((tmp_path,), None), (("-",), ""):
        result = run("predict", *arguments, stdin=stdin)
        assert result.exit_code == 2
        assert "no images" in result.stderr or "no paths" in result.stderr


def test_an_unknown_operating_point_is_wrong_usage(run: Run, chest: Path) -> None:
    result = run("predict", chest, "--operating-point", "nope")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "operating point 'nope'" in result.stderr
    assert "balanced" in result.stderr


def test_the_operating_point_sets_the_threshold(run: Run, chest: Path) -> None:
    shown = json.loads(run("models", "show", "--json").stdout)["contract"]["operating_points"]
    for name, point in shown.items():
        (record,) = records(run("predict", chest, "--json", "--operating-point", name).stdout)
        assert record["operating_point"] == name
        assert record["threshold"] == round(point["threshold"], 6)


def test_a_model_that_is_none_is_one_line(run: Run, chest: Path, tmp_path: Path) -> None:
    pointer = tmp_path / "model.tflite"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    result = run("predict", chest, "--model", pointer)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "Git LFS pointer" in line
    assert run("predict", chest, "--model", tmp_path / "nope.tflite").exit_code == 2


@pytest.mark.parametrize("command", ["predict", "explain", "bench"])
def test_a_damaged_model_is_one_line(command: str, run: Run, chest: Path, open_minded_model: Path) -> None:
    damaged = chest.with_name("damaged.tflite")
    content = open_minded_model.read_bytes()
    middle = len(content) // 2
    for broken in (content[:middle], content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], b""):
        damaged.write_bytes(broken)
        result = run(command, *([] if command == "bench" else [chest]), "--model", damaged)
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"Error: {damaged}")
    assert run(command, *([] if command == "bench" else [chest]), "--model", chest.parent).exit_code == 2


def test_a_folder_on_standard_input_that_has_no_images_is_a_record(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    result = run("predict", "-", "--json", stdin=f"{folder}\n")
    (record,) = records(result.stdout)
    assert (result.exit_code, record["status"], record["path"]) == (1, "error", str(folder))
    assert record["reasons"][0].startswith(f"{folder}: ")


def test_paths_from_standard_input_of_any_spelling(run: Run, chest: Path, open_minded_model: Path) -> None:
    odd = chest.with_name("r\udcffntgen é.jpeg")  # a byte that is not UTF-8
    odd.write_bytes(chest.read_bytes())
    lines = b"%s\n%s\n" % (str(chest).encode(), str(odd).encode("utf-8", "surrogateescape"))
    result = run("predict", "-", "--json", "--model", open_minded_model, stdin=lines)
    assert result.exit_code == 0
    assert [record["path"] for record in records(result.stdout)] == [str(chest), str(odd)]


def test_pictures_have_names_of_their_own_and_say_what_they_are(
    run: Run, chest: Path, open_minded_model: Path, tmp_path: Path
) -> None:
    inputs = [tmp_path / name for name in ("a/x.jpeg", "b/x.jpeg", "b/X.jpeg")]
    for file in inputs:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(chest.read_bytes())
    out = tmp_path / "new" / "pictures"
    arguments = ("predict", *inputs, "nope.png", "--json", "--heatmaps", out, "--model", open_minded_model)
    found = records(run(*arguments).stdout)
    pictures = [record["heatmap"] for record in found]
    assert pictures == [str(out / "x.png"), str(out / "x-2.png"), str(out / "X-3.png"), None]
    assert {file.name for file in out.iterdir()} == {"x.png", "x-2.png", "X-3.png"}  # nothing unfinished is left
    with Image.open(pictures[0]) as picture:
        assert picture.mode == "RGB"
        assert picture.info["Disclaimer"] == NOTICE
        assert picture.info["Source"] == f"sha256:{found[0]['sha256']}"
    assert [record["heatmap"] for record in records(run(*arguments).stdout)] == pictures  # a second run replaces them


def test_a_radiograph_is_never_replaced_by_its_picture(run: Run, open_minded_model: Path, tmp_path: Path) -> None:
    radiograph = tmp_path / "x.png"
    content = phantom.encode(phantom.chest_phantom(256))
    radiograph.write_bytes(content)
    result = run("predict", radiograph, "--json", "--heatmaps", tmp_path, "--model", open_minded_model)
    assert records(result.stdout)[0]["heatmap"] == str(tmp_path / "x-2.png")
    assert radiograph.read_bytes() == content


def test_an_output_folder_that_is_a_file_is_wrong_usage(run: Run, chest: Path) -> None:
    assert run("predict", chest, "--heatmaps", chest).exit_code == 2
    result = run("predict", chest, "--heatmaps", chest / "below")
    assert result.exit_code == 2
    assert "cannot be used as output folder" in result.stderr


def test_sixteen_real_radiographs(run: Run, radiographs: Path) -> None:
    found = records(run("predict", radiographs / "native" / "val", "--json").stdout)
    assert [record["status"] for record in found] == ["ok"] * 16
    assert sum(record["label"] == Path(record["path"]).parent.name for record in found) >= 14

"""The demo: real DICOM files judged and refused, labelled radiographs joined in, a page that stands alone."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pneumoscope.cli.main import cli
from pneumoscope.demo import cases as demo_cases
from pneumoscope.demo.cases import Case, Expected, Source, dicom_samples, judge, radiographs
from pneumoscope.demo.page import render
from pneumoscope.demo.sheet import GAP, draw_sheet, write_sample_sheet
from pneumoscope.errors import MissingExtraError
from pneumoscope.model.classifier import Model, load_model
from pneumoscope.model.prediction import Status
from support import phantom

NOTICE = "Research use only. Not a medical device."


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="module")
def samples(model: Model) -> tuple[Case, ...]:
    return tuple(judge(model, dicom_samples()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder in the seed's layout, of drawn chests: ten of each class, one more than is shown of each."""
    root = tmp_path / "data"
    for label in ("NORMAL", "PNEUMONIA"):
        folder = root / "chest_xray_224" / "val" / label
        folder.mkdir(parents=True)
        for number in range(10):
            picture = phantom.encode(phantom.chest_phantom(224, seed=number), "JPEG")
            (folder / f"{label.lower()}-{number}.jpeg").write_bytes(picture)
    return root


def run_demo(out: Path, data: Path | None, monkeypatch: pytest.MonkeyPatch) -> Result:
    if data is None:
        monkeypatch.delenv("PNEUMOSCOPE_DATA", raising=False)
    else:
        monkeypatch.setenv("PNEUMOSCOPE_DATA", str(data))
    return CliRunner().invoke(cli, ["demo", "--out", str(out)], catch_exceptions=False)


class Addresses(HTMLParser):
    """Collects what a page would load, and its pictures' descriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.described: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loaded += [value for name in ("src", "href") if (value := values.get(name))]
        if tag == "img":
            self.described.append(values.get("alt") or "")


def test_the_chest_is_judged_and_the_leg_refused(samples: tuple[Case, ...]) -> None:
    chest, leg = samples
    assert chest.prediction.status is Status.OK
    assert leg.prediction.status is Status.REFUSED
    assert leg.prediction.reasons
    assert not chest.failed
    assert not leg.failed


def test_the_command_writes_page_and_sheet(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    result = run_demo(out, data, monkeypatch)
    assert result.exit_code == 0
    assert f"page   {out / 'index.html'}" in result.stdout
    assert NOTICE in result.stdout
    assert result.stderr.count("native/val") == 1  # the folder that is not there, said once
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<article>") == 2 + 16
    assert page.count(NOTICE) >= 2
    addresses = Addresses()
    addresses.feed(page)
    assert len(addresses.loaded) == len(addresses.described) >= 18
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses.loaded)
    assert all(addresses.described)
    assert not re.search(r"https?://", page)
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 1000


def test_without_data_the_dicom_files_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_demo(tmp_path / "out", None, monkeypatch)
    assert result.exit_code == 0
    assert "PNEUMOSCOPE_DATA is not set" in result.stderr
    assert "2 of 2 as expected" in result.stdout


def test_real_radiographs_join_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    root: Path = request.getfixturevalue("radiographs")  # this module has a function of that name
    result = run_demo(tmp_path / "out", root, monkeypatch)
    assert result.exit_code == 0
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert page.count("<article>") == 2 + len(radiographs(root, print)) > 2
    assert "Could not be read" not in page
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        sheet.load()
        assert sheet.width > 1000


def test_a_sample_that_comes_out_wrong_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chest, leg = dicom_samples()
    swapped = dataclasses.replace(leg, expected=Expected.CHEST)
    monkeypatch.setattr(demo_cases, "dicom_samples", lambda: (chest, swapped))
    result = run_demo(tmp_path / "out", None, monkeypatch)
    assert result.exit_code == 1
    assert "came out as refused" in result.stderr


def test_a_data_folder_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    assert radiographs(tmp_path / "nope", said.append) == ()
    assert len(said) == 1


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydicom.data.get_testdata_file", lambda *_, **__: None)
    with pytest.raises(MissingExtraError, match=r"pneumoscope\[demo\]"):
        dicom_samples()


def test_what_cannot_be_read_is_on_the_page_and_names_are_escaped(model: Model, tmp_path: Path) -> None:
    source = Source(tmp_path / "nope.png", "odd <names>", "<script>alert(1)</script>.png", Expected.NORMAL)
    (case,) = judge(model, (source,))
    assert (case.image, case.failed) == (None, True)
    page = render([case], model)
    assert "Not judged: unreadable" in page
    assert "no such file" in page
    assert "<script>" not in page
    assert "odd &lt;names&gt;" in page


def test_the_sheet_has_input_and_heatmap_beside_each_other(samples: tuple[Case, ...]) -> None:
    one_row = draw_sheet(samples, side=128, columns=3)
    two_rows = draw_sheet(samples, side=128, columns=2)
    assert two_rows.shape[1] < one_row.shape[1]
    assert two_rows.shape[0] > one_row.shape[0]
    panel = (one_row.shape[1] - GAP) // 3
    left, right = (one_row[:128, x : x + panel - GAP].astype(int) for x in (GAP, GAP + panel))
    colour = [int((half.max(axis=2) - half.min(axis=2)).max()) for half in (left, right)]
    assert colour[0] < 20  # the input is grey
    assert colour[1] > 100  # the heatmap and its bar are not


def test_the_documentation_picture_shows_the_samples_alone(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "images" / "sheet.png"
    write_sample_sheet(file, model)
    with Image.open(file) as picture:
        assert picture.width > 3 * 320

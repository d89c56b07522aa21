"""The Gradio page, started by its command and driven in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pneumoscope.cli.serve import ui
from pneumoscope.drawing.heatmap import overlay
from pneumoscope.errors import UsageError
from pneumoscope.imaging.reader import read_image
from pneumoscope.model import wording
from pneumoscope.model.classifier import Model
from pneumoscope.serving.gradio_page import find_examples, judge_file
from pneumoscope.serving.pictures import fit
from support.web_kit import StandIn, dicom_sample, needs_browser, requested

# Whatever the command does, every look-up and connection beyond this machine is told.
WATCHED = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        host = arguments[1] if event == "socket.connect" else arguments[0]
        host = host[0] if isinstance(host, tuple) else host
        if host not in ("127.0.0.1", "localhost", "::1", None):
            print("OUTSIDE", event, host, file=sys.stderr, flush=True)
sys.addaudithook(watch)
from pneumoscope.cli.main import main
main()
"""


def test_a_file_is_judged_or_refused_in_words(
    model: StandIn, tmp_path: Path, ill_chest: bytes, page_of_text: bytes
) -> None:
    paths = {name: tmp_path / f"{name}.png" for name in ("ill", "text", "broken")}
    for path, content in zip(paths.values(), (ill_chest, page_of_text, b"x"), strict=True):
        path.write_bytes(content)
    bar, shown, words = judge_file(model, str(paths["ill"]), "balanced")
    assert bar is not None
    assert shown is not None
    assert "score 0.746; operating point balanced at 0.400" in bar
    assert shown.draw(0.5).shape == (256, 256, 3)
    assert words.startswith("### above the operating point balanced")
    assert "PNEUMONIA" not in words
    bar, shown, words = judge_file(model, str(paths["text"]), "balanced")
    assert bar is None
    assert shown is not None
    assert shown.draw(0.5).shape == (476, 484)  # without its white margins
    assert "text.png: " in words
    assert judge_file(model, str(paths["broken"]), "balanced")[2].startswith("**Not judged: unreadable.** broken.png: ")
    assert judge_file(model, None, "balanced") == (None, None, "")
    assert len(find_examples(tmp_path)) == 3


def run_ui(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WATCHED, "ui", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PNEUMOSCOPE_DATA": ""} | environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command keeps what was uploaded; empty once it has ended."""
    return tmp_path_factory.mktemp("gradio")


@pytest.fixture(scope="module")
def address(uploads: Path, tmp_path_factory: pytest.TempPathFactory, chest: bytes) -> Iterator[str]:
    data = tmp_path_factory.mktemp("data")
    (data / "example.png").write_bytes(chest)
    with run_ui("--port", "0", "--data", str(data), TMPDIR=str(uploads)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in iter(process.stdout.readline, ""))
        yield next(match.group() for match in found if match)
        process.send_signal(signal.SIGTERM)
        errors = process.stderr.read()
        assert process.wait(30) == 0, errors
    assert "OUTSIDE" not in errors
    assert "Traceback" not in errors
    assert [path for path in uploads.rglob("*") if path.is_file()] == []


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    requested(browser)
    browser.get(address)
    wait(browser, lambda p: p.find_elements("css selector", "input[type=file]"))
    yield browser
    # The page asks its server for a heartbeat for ever, also when that has ended.
    browser.get("about:blank")


def wait(page: Any, condition: Callable[[Any], Any]) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(page, 30).until(condition)


def text(page: Any) -> str:
    found: str = page.find_element("css selector", "body").text
    return found


def shown_picture(page: Any) -> str:
    """Address of the picture that the page shows; empty if there is none."""
    addresses = [image.get_attribute("src") or "" for image in page.find_elements("css selector", "img")]
    return next((found for found in addresses if "/file=" in found), "")


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return np.asarray(Image.open(BytesIO(answer.read())))


@needs_browser
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_page_judges_fades_refuses_and_stays_at_home(
    page: Any, address: str, uploads: Path, built_in: Model
) -> None:
    assert "Research use only. Not a medical device." in text(page)
    chest = dicom_sample("RG1_UNCR.dcm")
    expected, pixels = built_in.predict(chest), fit(read_image(chest).pixels)
    assert expected.heatmap is not None
    page.find_element("css selector", "input[type=file]").send_keys(str(chest))
    wait(page, shown_picture)
    assert wording.result(expected) in text(page)
    first = shown_picture(page)
    assert np.array_equal(fetch(first), overlay(pixels, expected.heatmap))
    save(page, "gradio")

    slider = page.find_element("css selector", "input[type=range]")
    for _ in range(3):
        slider.send_keys("\ue012")  # arrow left, three steps of 0.05
    faint = overlay(pixels, expected.heatmap, opacity=0.5)
    wait(page, lambda p: shown_picture(p) != first and np.array_equal(fetch(shown_picture(p)), faint))

    page.get(address)
    find = "input[type=file]"
    wait(page, lambda p: p.find_elements("css selector", find))
    page.find_element("css selector", find).send_keys(str(dicom_sample("RG3_UNCR.dcm")))
    wait(page, lambda p: "Not judged: refused. RG3_UNCR.dcm: " in text(p))
    save(page, "gradio-refusal")
    assert any(uploads.rglob("RG1_UNCR.dcm"))
    asked = requested(page)
    assert any(url.startswith(address) for url in asked)
    assert [url for url in asked if not url.startswith(address)] == []


@needs_browser
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_example_is_judged_when_it_is_chosen(page: Any) -> None:
    wait(page, lambda p: "example.png" in text(p))
    page.find_element("xpath", "//*[normalize-space(text())='example.png']").click()
    wait(page, lambda p: "the operating point balanced" in text(p) or "Not judged: refused. example.png: " in text(p))


def test_the_command_s_options_reach_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("pneumoscope.serving.gradio_page.launch", lambda _model, **options: given.append(options))
    monkeypatch.setattr("pneumoscope.cli.serve._check_port", lambda *_: None)  # the page under test has the port
    runner = CliRunner()
    shared = ["--share", "--host", "127.0.0.2", "--port", "7999", "--data", str(tmp_path), "--root-path", "/x"]
    refused = runner.invoke(ui, shared)
    assert isinstance(refused.exception, UsageError)
    assert "give --auth-file" in str(refused.exception)
    runner.invoke(ui, [*shared, "--insecure"])
    runner.invoke(ui, [], env={"PNEUMOSCOPE_DATA": None})
    assert given == [
        {"host": "127.0.0.2", "port": 7999, "data": tmp_path, "share": True, "auth": None, "root_path": "/x"},
        {"host": "127.0.0.1", "port": 7860, "data": None, "share": False, "auth": None, "root_path": ""},
    ]


def save(page: Any, name: str) -> None:
    if folder := os.environ.get("PNEUMOSCOPE_SCREENSHOTS"):
        page.save_screenshot(str(Path(folder) / f"{name}.png"))

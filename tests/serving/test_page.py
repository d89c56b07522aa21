"""The page in a real browser: Debian's Chromium, driven by Selenium.

Where ``PNEUMOSCOPE_SCREENSHOTS`` names a folder, pictures of the page are written there to be looked at.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from pneumoscope.serving.http.app import create_app
from pneumoscope.serving.http.server import WebServer
from pneumoscope.serving.http.tokens import new_token
from pneumoscope.serving.settings import Settings
from support import phantom
from support.web_kit import StandIn, dicom_sample, needs_browser

pytestmark = [needs_browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]
SHOTS = os.environ.get("PNEUMOSCOPE_SCREENSHOTS")


@contextmanager
def serving(**changes: Any) -> Iterator[str]:
    settings = Settings(port=0, workers=2, rate_limit=None, **changes)
    server = WebServer(create_app(StandIn(), settings), settings)
    thread = threading.Thread(target=server.run, kwargs={"on_signals": False})
    thread.start()
    yield f"http://127.0.0.1:{server.port}/"
    server.stop()
    thread.join(20)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    # What another page said before is not this one's.
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    yield browser
    # A refusal is answered with 422, which Chromium logs; anything else (CSP above all) is a defect.
    logs = [entry["message"] for entry in browser.get_log("browser") if "422" not in entry["message"]]
    assert logs == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("uploads")
    contents = {
        "ill.png": phantom.encode(phantom.chest_phantom((512, 600), opacity=1.0)),
        "well.jpeg": phantom.encode(phantom.chest_phantom(600), "JPEG"),
        "chest.dcm": phantom.dicom_bytes(phantom.dicom_dataset(phantom.chest_phantom(512))),
        "page.png": phantom.encode(phantom.text_page()),
        "broken.png": b"not an image",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def find(page: Any, selector: str) -> Any:
    return page.find_element("css selector", selector)


def upload(page: Any, *paths: Path, at: str = "#files") -> list[Any]:
    """Choose files; give their cards once all are judged."""
    from selenium.webdriver.support.wait import WebDriverWait

    before = len(page.find_elements("css selector", ".card"))
    find(page, at).send_keys("\n".join(map(str, paths)))
    done = ".card[data-state]"
    WebDriverWait(page, 30).until(lambda p: len(p.find_elements("css selector", done)) == before + len(paths))
    return list(page.find_elements("css selector", ".card"))[before:]


def text(card: Any, selector: str) -> str:
    found: str = find(card, selector).text
    return found


def shot(page: Any, name: str) -> None:
    if SHOTS:
        size = page.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )
        page.save_screenshot(str(Path(SHOTS) / f"{name}.png"))


def test_a_radiograph_is_judged_and_its_overlay_faded(page: Any, files: dict[str, Path]) -> None:
    (card,) = upload(page, files["ill.png"])
    assert text(card, ".name") == "ill.png"
    assert text(card, ".verdict") == "above the operating point balanced"
    assert text(card, ".number") == "0.746"
    assert text(card, ".threshold") == "balanced 0.400"
    assert find(card, ".mark.chosen").value_of_css_property("left") != "0px"
    assert "Research use only" in text(card, ".small-notice")
    assert "Bacterial\n52.3 %" in text(card, ".subtype")
    overlay, slider = find(card, ".overlay"), find(card, ".opacity input")
    assert overlay.value_of_css_property("opacity") == "0.65"
    assert page.execute_script("return arguments[0].naturalWidth", overlay) == 600
    shot(page, "upload")
    for _ in range(5):
        slider.send_keys("\ue012")  # arrow left
    assert overlay.value_of_css_property("opacity") == "0.6"
    assert text(card, ".opacity output") == "60 %"
    slider.send_keys("\ue011")  # home
    assert overlay.value_of_css_property("opacity") == "0"
    shot(page, "slider")


def test_overlay_and_json_are_saved(page: Any, files: dict[str, Path]) -> None:
    from PIL import Image
    from selenium.webdriver.support.wait import WebDriverWait

    (card,) = upload(page, files["ill.png"])
    find(card, ".save-json").click()
    find(card, ".save-picture").click()
    record, picture = (page.downloads / f"ill.{ending}" for ending in ("json", "overlay.png"))
    WebDriverWait(page, 10).until(lambda _: record.exists() and picture.exists())
    saved = json.loads(record.read_text())
    assert saved["label"] == "PNEUMONIA"
    assert saved["notice"] == "Research use only. Not a medical device."
    with Image.open(picture) as image:
        assert image.width == 600
        assert image.height > 512
        hot = image.convert("RGB").getpixel((128, 329))
    assert isinstance(hot, tuple)
    assert max(hot) - min(hot) > 60  # coloured where the heat is


def test_several_at_once_with_dicom_and_refusals(page: Any, files: dict[str, Path]) -> None:
    cards = upload(page, *files.values())
    assert [text(card, ".name") for card in cards] == list(files)
    states = [card.get_attribute("data-state") for card in cards]
    assert states == ["above", "below", "below", "refused", "error"]
    assert find(cards[2], ".radiograph").is_displayed()
    refused = cards[3]
    assert text(refused, ".verdict") == "Not judged: refused"
    assert text(refused, ".reasons").startswith("overexposed or a printed page")
    assert not find(refused, ".score").is_displayed()
    assert find(refused, ".radiograph").is_displayed()
    assert not find(refused, ".overlay").is_displayed()
    assert "not an image of a known format" in text(cards[4], ".reasons")
    find(page, "#clear").click()
    assert page.find_elements("css selector", ".card") == []


def test_the_real_leg_is_refused_in_words(page: Any) -> None:
    (card,) = upload(page, dicom_sample("RG3_UNCR.dcm"))
    assert card.get_attribute("data-state") == "refused"
    assert "inverted" in text(card, ".reasons")
    shot(page, "refusal")


def test_another_operating_point_judges_again(page: Any, files: dict[str, Path]) -> None:
    from selenium.webdriver.support.select import Select
    from selenium.webdriver.support.wait import WebDriverWait

    (card,) = upload(page, files["ill.png"])
    find(card, ".opacity input").send_keys("\ue011")  # home
    Select(find(page, "#operating-point")).select_by_value("sensitive")
    WebDriverWait(page, 20).until(lambda p: "sensitive 0.100" in find(p, "#results").text)
    (card,) = page.find_elements("css selector", ".card")
    assert text(card, ".name") == "ill.png"
    assert find(card, ".overlay").value_of_css_property("opacity") == "0"  # as it was set
    assert find(page, "#files").get_attribute("value") == ""


def test_a_model_without_subtypes_leaves_no_empty_place(
    browser: Any, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StandIn.run
    monkeypatch.setattr(StandIn, "run", lambda model, pixels: replace(run(model, pixels), subtype=None))
    with serving() as url:
        browser.get(url)
        (card,) = upload(browser, files["ill.png"])
        assert text(card, ".verdict") == "above the operating point balanced"
        assert not find(card, ".subtype").is_displayed()
        assert find(card, ".subtype").size["height"] == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_accessibility_by_axe(page: Any, files: dict[str, Path], address: str, width: int, scheme: str) -> None:
    script = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    upload(page, files["ill.png"], files["page.png"], files["broken.png"])
    for path in ("", "docs"):
        if path:
            page.get(address + path)
        page.execute_script(script)
        found = page.execute_async_script("axe.run(document).then(arguments[0])")
        assert len(found["passes"]) > 10
        assert [(entry["id"], entry["nodes"][0]["html"]) for entry in found["violations"]] == []


def test_drop_and_paste(page: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    script = """
        const [kind, base64] = arguments;
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], kind + ".png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(kind === "drop"
            ? new DragEvent("drop", { ...options, dataTransfer: data })
            : new ClipboardEvent("paste", { ...options, clipboardData: data }));
    """
    import base64

    content = base64.b64encode(phantom.encode(phantom.chest_phantom(256))).decode()
    for kind in ("drop", "paste"):
        page.execute_script(script, kind, content)
    done = ".card[data-state=below]"
    WebDriverWait(page, 20).until(lambda p: len(p.find_elements("css selector", done)) == 2)
    assert [text(card, ".name") for card in page.find_elements("css selector", ".card")] == ["drop.png", "paste.png"]


def test_the_camera_input_asks_for_the_back_camera(page: Any, files: dict[str, Path]) -> None:
    camera = find(page, "#camera")
    assert camera.get_attribute("capture") == "environment"
    (card,) = upload(page, files["well.jpeg"], at="#camera")
    assert card.get_attribute("data-state") == "below"


def test_everything_is_reached_by_keyboard_and_named(page: Any, files: dict[str, Path]) -> None:
    from selenium.webdriver import ActionChains, Keys

    upload(page, files["ill.png"])
    page.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    seen: list[str] = []
    while "Save JSON" not in seen and len(seen) < 20:
        ActionChains(page).send_keys(Keys.TAB).perform()
        seen.append(page.switch_to.active_element.accessible_name)
    for name in ("Skip to content", "API", "Choose files", "Take a picture", "Operating point", "Clear all"):
        assert any(entry.startswith(name) for entry in seen), (name, seen)
    assert "Remove ill.png" in seen
    assert any("Heatmap opacity" in entry for entry in seen), seen
    assert seen[-2:] == ["Save overlay", "Save JSON"]
    assert (
        find(page, ".scale").accessible_name
        == "score 0.746; operating point balanced at 0.400; operating point sensitive at 0.100"
    )
    assert (
        page.execute_script("return document.querySelector('#announce').textContent")
        == "ill.png: above the operating point balanced"
    )
    images = page.find_elements("css selector", ".card img")
    assert all(image.accessible_name for image in images)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_width_in_light_and_dark(page: Any, files: dict[str, Path], scheme: str) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    )
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    cards = upload(page, files["ill.png"], files["page.png"])
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    for card in cards:
        assert card.size["width"] <= 360
    back = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    level = sum(map(int, back[4:-1].split(","))) / 3
    assert level > 200 if scheme == "light" else level < 50
    page.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    notice = find(page, ".notice")
    assert notice.text == "Research use only. Not a medical device."
    assert page.execute_script("return arguments[0].getBoundingClientRect().top", notice) == 0  # still in sight
    small = [
        element.accessible_name
        for element in page.find_elements("css selector", "button, select, label.button")
        if element.is_displayed() and element.size["height"] < 44
    ]
    assert small == []
    page.execute_script("window.scrollTo(0, 0)")
    shot(page, f"phone-{scheme}")


def test_dark_and_docs_pictures(page: Any, files: dict[str, Path], address: str) -> None:
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    upload(page, files["well.jpeg"], files["page.png"])
    shot(page, "dark")
    page.get(f"{address}docs")
    assert "/api/v1/predict" in find(page, "main").text
    shot(page, "docs")


def test_a_token_is_asked_for_and_used(browser: Any, files: dict[str, Path]) -> None:
    token, digest = new_token()
    with serving(token_hashes=(digest,)) as url:
        browser.get(url)
        (card,) = upload(browser, files["well.jpeg"])
        assert card.get_attribute("data-state") == "error"
        assert "Bearer" in text(card, ".reasons")
        find(browser, "#token").send_keys(token)
        (card,) = upload(browser, files["well.jpeg"])
        assert card.get_attribute("data-state") == "below"
        assert token not in browser.page_source
        browser.get("about:blank")
        browser.get_log("browser")

"""Apps and clients around the stand-in model, and inputs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from pneumoscope.model.classifier import Model, load_model
from pneumoscope.serving.http.app import SERVICE, create_app
from pneumoscope.serving.http.server import WebServer
from pneumoscope.serving.settings import Settings
from support import phantom
from support.web_kit import CHROMIUM, DRIVER, NO_BROWSER, MakeClient, StandIn


@pytest.fixture
def model() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.gate.set()


@pytest.fixture
def make_app(model: StandIn) -> Iterator[Callable[..., OpenAPI]]:
    apps: list[OpenAPI] = []

    def make(use: Model | None = None, **changes: Any) -> OpenAPI:
        settings = replace(Settings(workers=2, rate_limit=None), **changes)
        apps.append(create_app(use or model, settings))
        return apps[-1]

    yield make
    model.gate.set()
    for app in apps:
        app.extensions[SERVICE].close()


@pytest.fixture
def make_client(make_app: Callable[..., OpenAPI]) -> MakeClient:
    return lambda **changes: make_app(**changes).test_client()


@pytest.fixture
def client(make_client: MakeClient) -> FlaskClient:
    return make_client()


@pytest.fixture(scope="session")
def built_in() -> Model:
    return load_model()


@pytest.fixture(scope="session")
def chest() -> bytes:
    """A synthetic chest as PNG that every check accepts."""
    return phantom.encode(phantom.chest_phantom(256))


@pytest.fixture(scope="session")
def ill_chest() -> bytes:
    return phantom.encode(phantom.chest_phantom(256, opacity=1.0))


@pytest.fixture(scope="session")
def page_of_text() -> bytes:
    return phantom.encode(phantom.text_page())


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium; ``browser.downloads`` is where it saves files."""
    if not (CHROMIUM and DRIVER):
        pytest.fail(NO_BROWSER)
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM
    downloads = tmp_path_factory.mktemp("downloads")
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--window-size=1280,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.downloads = downloads  # type: ignore[attr-defined]
    yield driver
    driver.quit()


@pytest.fixture
def serve(make_app: Callable[..., OpenAPI]) -> Iterator[Callable[..., WebServer]]:
    running: list[tuple[WebServer, threading.Thread]] = []

    def start(**changes: Any) -> WebServer:
        settings = Settings(port=0, workers=2, rate_limit=None, **changes)
        server = WebServer(make_app(port=0, **changes), settings)
        thread = threading.Thread(target=server.run, kwargs={"on_signals": False})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()

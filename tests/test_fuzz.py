"""A small draw of what ``make fuzz`` tries; PNEUMOSCOPE_FUZZ=1000 makes it larger."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import resources

import fuzz
import pytest
import robustness

from pneumoscope.serving.http.app import SERVICE, create_app
from pneumoscope.serving.settings import Settings
from support.web_kit import StandIn

DRAWS = int(os.environ.get("PNEUMOSCOPE_FUZZ", "200")) // 20
SEEDS = fuzz.seeds()
MODEL = (resources.files("pneumoscope") / "models" / "builtin.tflite").read_bytes()


@pytest.fixture(scope="module")
def ways() -> Iterator[dict[str, Callable[[bytes], bool]]]:
    model = StandIn()
    app = create_app(model, Settings(workers=1, rate_limit=None))
    client = app.test_client()
    yield {"predict": lambda data: fuzz._predict(model, data), "server": lambda data: fuzz._serve(client, data)}
    app.extensions[SERVICE].close()


@pytest.mark.parametrize("way", ["predict", "server"])
@pytest.mark.parametrize("kind", SEEDS)
def test_a_mutated_file_is_right_or_refused(ways: dict[str, Callable[[bytes], bool]], kind: str, way: str) -> None:
    assert ways[way](SEEDS[kind])  # the sound one
    for seed in range(50_000, 50_000 + DRAWS):
        ways[way](fuzz.mutated(SEEDS[kind], seed))


@pytest.mark.parametrize("kind", ["model, its graph", "model, its archive"])
def test_a_mutated_model_is_right_or_a_model_error(kind: str) -> None:
    assert fuzz._open_model(MODEL)
    for seed in range(50_000, 50_000 + DRAWS):
        fuzz._open_model(fuzz._changed(kind, MODEL, seed))


def test_the_page_says_what_the_report_says() -> None:
    kind = {"kind": "PNG, predict", "tried": 3, "right": 1, "refused": 1, "wrong": 1, "slowest_seconds": 0.25}
    kinds = [kind | {"peak_bytes": 2**21, "faults": ["PNG, predict, seed 7: died"]}]
    totals = {"tried": 3, "right": 1, "refused": 1, "wrong": 1}
    text = robustness.page({"seed": 5, "seconds": 30.0, "memory": 2**30, "totals": totals, "kinds": kinds})
    assert "| PNG, predict | 3 | 1 | 1 | 1 | 0.2 | 2 |" in text and "- PNG, predict, seed 7: died" in text

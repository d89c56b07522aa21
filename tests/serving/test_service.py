"""The queue: its bound, its order, its threads, its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pneumoscope.serving.http.problems import ProblemError
from pneumoscope.serving.http.uploads import Upload
from pneumoscope.serving.queue import InferenceService, PredictOptions
from support.web_kit import MakeClient, StandIn, form, json_of


@pytest.fixture
def service(model: StandIn) -> Iterator[InferenceService]:
    made = InferenceService(model, workers=2, queue_size=4)
    yield made
    model.gate.set()
    made.close()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited 10 seconds"
        time.sleep(0.005)


def test_results_come_in_order_from_all_workers(model: StandIn, chest: bytes, ill_chest: bytes) -> None:
    service = InferenceService(model, workers=2, queue_size=20)
    uploads = [Upload(str(i), ill_chest if i % 3 else chest) for i in range(20)]
    results = service.judge(uploads, PredictOptions(), 60)
    assert [r.prediction.path for r in results] == [str(i) for i in range(20)]
    assert [r.prediction.label for r in results] == ["PNEUMONIA" if i % 3 else "NORMAL" for i in range(20)]
    assert len(model.threads) == 2
    service.close()


def test_beyond_the_bound_is_turned_away_at_once_and_whole(
    service: InferenceService, model: StandIn, chest: bytes
) -> None:
    model.gate.clear()
    results: list[object] = []
    held = in_thread(lambda: results.extend(service.judge([Upload("x", chest)] * 3, PredictOptions(), 30)))
    wait_until(lambda: len(model.threads) == 2)
    start = time.monotonic()
    with pytest.raises(ProblemError) as raised:
        service.judge([Upload("x", chest)] * 2, PredictOptions(), 30)
    assert time.monotonic() - start < 1
    assert (raised.value.kind, raised.value.headers["Retry-After"]) == ("overloaded", "1")
    one_more = in_thread(lambda: results.extend(service.judge([Upload("x", chest)], PredictOptions(), 30)))
    wait_until(lambda: not service.is_ready)
    model.gate.set()
    held.join()
    one_more.join()
    assert len(results) == 4
    wait_until(lambda: service.is_ready)
    assert len(service.judge([Upload("x", chest)] * 4, PredictOptions(), 30)) == 4


def test_a_late_image_is_given_up(service: InferenceService, model: StandIn, chest: bytes) -> None:
    model.gate.clear()
    with pytest.raises(ProblemError, match="3 of 3 images not judged"):
        service.judge([Upload("x", chest)] * 3, PredictOptions(), 0.1)
    model.gate.set()
    wait_until(lambda: "in_flight 0.0" in service.metrics.text().decode())


def test_stopping_finishes_what_was_taken_and_takes_no_more(
    service: InferenceService, model: StandIn, chest: bytes
) -> None:
    model.gate.clear()
    results: list[object] = []
    held = in_thread(lambda: results.extend(service.judge([Upload("x", chest)] * 4, PredictOptions(), 30)))
    wait_until(lambda: not service.is_ready)
    service.stop_accepting()
    with pytest.raises(ProblemError) as raised:
        service.judge([Upload("x", chest)], PredictOptions(), 30)
    assert raised.value.kind == "stopping"
    model.gate.set()
    service.close()
    held.join()
    assert len(results) == 4


def test_the_api_says_503_with_retry_after(make_client: MakeClient, model: StandIn, chest: bytes) -> None:
    client = make_client(queue_size=2, max_files=2)
    model.gate.clear()
    statuses: list[int] = []
    url = "/api/v1/predict"
    held = in_thread(lambda: statuses.append(client.post(url, **form(("x", chest), ("y", chest))).status_code))
    wait_until(lambda: len(model.threads) == 2)
    response = client.post(url, **form(("x", chest)))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert json_of(response)["type"].endswith("#overloaded")
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    assert "pneumoscope_images_turned_away_total 1.0" in client.get("/metrics").text
    model.gate.set()
    held.join()
    assert statuses == [200]
    assert client.get("/readyz").status_code == 200

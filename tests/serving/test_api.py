"""The API: records, order, options, and what is around them."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import logging
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from pneumoscope.drawing.heatmap import overlay
from pneumoscope.imaging.reader import read_image
from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import CalibrationRecord, ConformalBand
from pneumoscope.serving import logs
from pneumoscope.serving.http.problems import TITLES
from support import phantom
from support.web_kit import CONTRACT, MakeClient, StandIn, dicom_sample, form, json_of

KEYS = [
    "path", "sha256", "status", "label", "probability", "threshold", "operating_point", "subtype",
    "typicality", "reasons", "notes", "heatmap", "prediction_set", "lungs", "model",
]  # fmt: skip


def results(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    records: list[dict[str, Any]] = json_of(response)["results"]
    return records


def png(uri: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(BytesIO(base64.b64decode(data))))


def test_one_upload_gives_the_record_of_the_interface(client: FlaskClient, chest: bytes) -> None:
    response = client.post("/api/v1/predict", **form(("x.png", chest)))
    (record,) = results(response)
    assert list(record) == KEYS
    assert (record["path"], record["status"], record["label"]) == ("x.png", "ok", "NORMAL")
    assert record["sha256"] == hashlib.sha256(chest).hexdigest()
    assert record["heatmap"] is None
    assert record["model"] == {"name": "stand-in", "version": "0.0.1", "sha256": "f" * 64}


def test_the_record_equals_that_of_the_python_interface(make_client: MakeClient, built_in: Model) -> None:
    path = dicom_sample("RG1_UNCR.dcm")
    response = make_client(use=built_in).post("/api/v1/predict", **form(("RG1_UNCR.dcm", path.read_bytes())))
    expected = built_in.predict_image(read_image(path), path="RG1_UNCR.dcm").as_dict()
    assert (json_of(response)["results"][0] if response.status_code == 200 else json_of(response)["record"]) == expected


def test_a_raw_body_is_taken(client: FlaskClient, chest: bytes) -> None:
    for kind in ("application/octet-stream", "image/png", "application/dicom", ""):
        (record,) = results(client.post("/api/v1/predict", data=chest, content_type=kind))
        assert (record["path"], record["status"]) == ("input", "ok")


def test_many_come_back_in_order_with_refusals_as_records(
    client: FlaskClient, chest: bytes, ill_chest: bytes, page_of_text: bytes
) -> None:
    files = [("a", chest), ("b", page_of_text), ("c", ill_chest), ("d", b""), ("e", b"no image"), ("f", chest)]
    records = results(client.post("/api/v1/predict", **form(*files)))
    assert [r["path"] for r in records] == list("abcdef")
    assert [r["status"] for r in records] == ["ok", "refused", "ok", "error", "error", "ok"]
    assert [r["label"] for r in records] == ["NORMAL", None, "PNEUMONIA", None, None, "NORMAL"]
    assert all(bool(r["reasons"]) == (r["status"] != "ok") for r in records)


def test_the_type_is_told_by_content_not_by_name(client: FlaskClient, chest: bytes) -> None:
    (record,) = results(client.post("/api/v1/predict", **form(("x.exe", chest))))
    assert record["status"] == "ok"


def test_the_overlay_is_the_one_of_overlay_py(client: FlaskClient, chest: bytes) -> None:
    (record,) = results(client.post("/api/v1/predict?heatmap=true", **form(("x", chest))))
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[4, 1] = 1
    assert np.array_equal(png(record["heatmap"]), overlay(read_image(chest).pixels, heatmap))
    assert list(record) == KEYS


def test_blending_the_page_s_two_pictures_gives_the_overlay_at_any_opacity(client: FlaskClient, chest: bytes) -> None:
    url = "/api/v1/predict?heatmap=true&radiograph=true&opacity="
    (full,) = results(client.post(f"{url}1", **form(("x", chest))))
    (third,) = results(client.post(f"{url}0.3", **form(("x", chest))))
    radiograph, layer = png(full["radiograph"]).astype(float), png(full["heatmap"]).astype(float)
    blended = 0.7 * radiograph[..., None] + 0.3 * layer
    assert np.abs(blended - png(third["heatmap"])).max() <= 1


def test_large_radiographs_are_shown_smaller(client: FlaskClient) -> None:

    big = phantom.encode(phantom.chest_phantom((1500, 1800)))
    (record,) = results(client.post("/api/v1/predict?heatmap=1&radiograph=1", **form(("x", big))))
    assert png(record["radiograph"]).shape == (853, 1024)
    assert png(record["heatmap"]).shape == (853, 1024, 3)


def test_the_operating_point_decides(client: FlaskClient, chest: bytes) -> None:
    for name, threshold in (("balanced", 0.4), ("sensitive", 0.1)):
        (record,) = results(client.post(f"/api/v1/predict?operating_point={name}", **form(("x", chest))))
        assert (record["operating_point"], record["threshold"]) == (name, threshold)
        assert record["label"] == ("PNEUMONIA" if record["probability"] >= threshold else "NORMAL")


@pytest.mark.parametrize("query", ["operating_point=none", "heatmap=perhaps", "opacity=2", "opacity=nan", "other=1"])
def test_a_wrong_parameter_is_422(client: FlaskClient, chest: bytes, query: str) -> None:
    response = client.post(f"/api/v1/predict?{query}", **form(("x", chest)))
    assert (response.status_code, response.content_type) == (422, "application/problem+json")
    assert json_of(response)["type"].endswith("#invalid-parameter")
    assert query.split("=")[0].replace("_", " ") in json_of(response)["detail"].replace("_", " ")


def test_a_single_refusal_is_a_problem_document_with_the_record(client: FlaskClient, page_of_text: bytes) -> None:
    response = client.post("/api/v1/predict?radiograph=true", **form(("page.png", page_of_text)))
    assert (response.status_code, response.content_type) == (422, "application/problem+json")
    problem = json.loads(response.data)
    assert problem["type"].endswith("#refused")
    assert problem["status"] == 422
    assert problem["detail"].startswith("page.png: ")
    assert problem["record"]["status"] == "refused"
    assert png(problem["record"]["radiograph"]).shape == (476, 484)  # without its white margins


def test_the_models_are_listed_with_their_cards(client: FlaskClient) -> None:
    (entry,) = json_of(client.get("/api/v1/models"))["models"]
    point: dict[str, Any] = {"threshold": 0.4, "sensitivity": 0.95, "specificity": 0.9, "ci95": None, "populations": []}
    assert entry["operating_points"]["balanced"] == point
    assert entry["default_operating_point"] == "balanced"
    assert "Research use only" in entry["intended_use"]
    assert entry["card"] == "# Stand-in"


def test_metrics_count_images_and_requests(client: FlaskClient, chest: bytes, page_of_text: bytes) -> None:
    client.post("/api/v1/predict", **form(("x", chest), ("y", page_of_text)))
    text = client.get("/metrics").text
    assert 'pneumoscope_images_total{status="ok"} 1.0' in text
    assert 'pneumoscope_images_total{status="refused"} 1.0' in text
    assert 'pneumoscope_http_requests_total{method="POST",route="/api/v1/predict",status="200"} 1.0' in text
    assert "pneumoscope_images_in_flight 0.0" in text


def test_health(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready"}


def test_the_readable_description_covers_every_operation_and_loads_nothing(client: FlaskClient) -> None:
    description, page = json_of(client.get("/openapi.json")), client.get("/docs").text
    assert set(description["paths"]) == {"/api/v1/predict", "/api/v1/models", "/healthz", "/readyz", "/metrics"}
    assert "Unused" not in str(description)
    for path in description["paths"]:
        assert path in page
    for entry in (page, client.get("/").text):
        assert "Research use only. Not a medical device." in entry
        assert 'src="http' not in entry
        assert 'rel="stylesheet" href="static/' in entry
        assert "<script>" not in entry
        assert "style=" not in entry


def test_every_kind_of_problem_has_its_heading_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    for kind, (status, title) in TITLES.items():
        assert f"\n### {kind}\n\n{status}: {title}. " in text


@pytest.mark.parametrize("given", ["0", "1", "7", "ten", "nan", "inf"])
def test_what_is_no_prevalence_is_422(client: FlaskClient, ill_chest: bytes, given: str) -> None:
    answer = client.post(f"/api/v1/predict?prevalence={given}", **form(("a.png", ill_chest)))
    assert answer.status_code == 422
    assert "prevalence" in answer.get_data(as_text=True)


def test_a_model_that_does_not_say_what_it_refers_to_is_422(client: FlaskClient, ill_chest: bytes) -> None:
    answer = client.post("/api/v1/predict?prevalence=0.1", **form(("a.png", ill_chest)))
    assert answer.status_code == 422
    assert "pneumoscope calibrate" in json_of(answer)["detail"]


def test_a_prevalence_adds_what_the_score_means(model: StandIn, client: FlaskClient, ill_chest: bytes) -> None:
    model.contract = dataclasses.replace(
        CONTRACT, calibration=CalibrationRecord(0.5, "a test", 1, 1), conformal=ConformalBand(0.9, 0.3, 0.8)
    )
    (record,) = json_of(client.post("/api/v1/predict?prevalence=0.1", **form(("a.png", ill_chest))))["results"]
    assert record["post_test"]["prevalence"] == 0.1
    assert record["post_test"]["probability"] < record["probability"]
    assert record["post_test"]["result"]["side"] == "above"
    assert record["prediction_set"] == ["NORMAL", "PNEUMONIA"]
    (plain,) = json_of(client.post("/api/v1/predict", **form(("a.png", ill_chest))))["results"]
    assert "post_test" not in plain


def test_scores_are_logged_without_identity_where_that_is_asked_for(
    make_client: MakeClient, ill_chest: bytes, page_of_text: bytes, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from pneumoscope.monitoring.records import read_records

    logging.getLogger("pneumoscope.serving").propagate = True
    caplog.handler.setFormatter(logs.JsonFormatter())
    caplog.set_level(logging.INFO, logger="pneumoscope.serving")
    files = form(("Jane-Doe-1234.png", ill_chest), ("Jane-Doe-5678.png", page_of_text))
    make_client().post("/api/v1/predict", **files)
    assert '"event": "scored"' not in caplog.text
    make_client(log_scores=True).post("/api/v1/predict", **files)
    file = tmp_path / "server.log"
    file.write_text(caplog.text)
    found = read_records(file)
    assert dict(found.statuses) == {"ok": 1, "refused": 1}
    assert len(found.models) == 1
    for told in ("Jane", "1234", hashlib.sha256(ill_chest).hexdigest()):
        assert told not in caplog.text

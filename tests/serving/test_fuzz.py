"""Hypothesis mutates uploads: no answer is a 5xx, and the server goes on.

``PNEUMOSCOPE_FUZZ=5000 pytest tests/serving/test_fuzz.py`` runs the long form: 5,000 mutated uploads, and 2,500
mutated forms, each sent twice. Without it there are 200 and 100.
"""

from __future__ import annotations

import os

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import phantom
from support.web_kit import MakeClient, form, json_of

EXAMPLES = int(os.environ.get("PNEUMOSCOPE_FUZZ", "200"))
pytestmark = pytest.mark.timeout(600 + EXAMPLES)
_CHEST = phantom.chest_phantom(160)
SEEDS = [
    phantom.encode(_CHEST, "PNG"),
    phantom.encode(_CHEST, "JPEG", quality=80),
    phantom.encode(_CHEST, "TIFF", compression="tiff_lzw"),
    phantom.encode(_CHEST, "BMP"),
    phantom.encode(_CHEST, "GIF"),
    phantom.encode(_CHEST, "WEBP"),
    phantom.dicom_bytes(phantom.dicom_dataset(_CHEST)),
    phantom.dicom_bytes(phantom.dicom_dataset(_CHEST), "1.2.840.10008.1.2.5"),
    phantom.dicom_bytes(phantom.dicom_dataset(_CHEST), "1.2.840.10008.1.2.4.90"),
    phantom.dicom_bytes(phantom.dicom_dataset(_CHEST), "1.2.840.10008.1.2.4.50"),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sound file with bytes overwritten (mostly in its header), inserted, cut out, or its end missing."""
    data = bytearray(SEEDS[draw(st.integers(0, len(SEEDS) - 1))])
    for _ in range(draw(st.integers(1, 6))):
        reach = draw(st.sampled_from([64, 600, 1200, len(data)]))
        at = draw(st.integers(0, max(0, min(reach, len(data)) - 1)))
        what = draw(st.sampled_from(["overwrite", "flip", "insert", "cut", "truncate"]))
        if what == "overwrite":
            piece = draw(st.binary(min_size=1, max_size=8))
            data[at : at + len(piece)] = piece
        elif what == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=64))
        elif what == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif what == "truncate":
            del data[at:]
    return bytes(data)


@pytest.fixture
def fuzz_client(make_client: MakeClient) -> FlaskClient:
    return make_client()


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=mutated(), query=st.sampled_from(["", "?heatmap=true&radiograph=true"]), raw=st.booleans())
def test_a_mutated_upload_is_never_a_5xx(fuzz_client: FlaskClient, content: bytes, query: str, raw: bool) -> None:
    kind = {"data": content, "content_type": "application/octet-stream"} if raw else form(("x", content))
    response = fuzz_client.post(f"/api/v1/predict{query}", **kind)
    assert response.status_code in (200, 400, 422), response.text
    if response.status_code != 200:
        assert response.content_type == "application/problem+json"
        assert json_of(response)["detail"]


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=400),
    cut=st.integers(0, 400),
    content_type=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=80),
)
def test_a_mutated_form_is_never_a_5xx(fuzz_client: FlaskClient, body: bytes, cut: int, content_type: str) -> None:
    sound = form(("x", SEEDS[0][:50]))["data"]
    for kind in ("multipart/form-data; boundary=limit", content_type):
        response = fuzz_client.post("/api/v1/predict", data=sound[:cut] + body, content_type=kind)
        assert 400 <= response.status_code < 500, response.text
        assert response.content_type == "application/problem+json"

"""Bad input: each is a 4xx with a problem document, and the server goes on."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from support import phantom
from support.web_kit import MakeClient, dicom_sample, form, json_of


def check_problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    assert (response.status_code, response.content_type) == (status, "application/problem+json"), response.text
    problem: dict[str, Any] = response.json
    assert problem["type"].endswith(f"#{kind}")
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["title"]
    return problem


def png_bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more pixels than any radiograph has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4096))) + chunk(b"IEND", b"")
    )


def gif_bomb() -> bytes:
    """A GIF whose screen and first frame are said to be 65535 pixels wide and high."""
    gif = bytearray(phantom.encode(phantom.chest_phantom(160), "GIF"))
    gif[6:10] = b"\xff" * 4
    frame = gif.index(b"\x2c\0\0\0\0\xa0\0\xa0\0")
    gif[frame + 5 : frame + 9] = b"\xff" * 4
    return bytes(gif)


def dicom(**attributes: Any) -> bytes:
    return phantom.dicom_bytes(phantom.dicom_dataset(phantom.chest_phantom(256), **attributes))


CHEST = phantom.encode(phantom.chest_phantom(256))
JPEG = phantom.encode(phantom.chest_phantom(256), "JPEG")
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "unreadable"),
    "text": (b"hello", "unreadable"),
    "html": (b"<html><script>alert(1)</script>", "unreadable"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "unreadable"),
    "zip": (b"PK\x03\x04" + bytes(60), "unreadable"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "unreadable"),
    "truncated PNG": (CHEST[: len(CHEST) // 2], "unreadable"),
    "header only": (CHEST[:24], "unreadable"),
    "bomb PNG": (png_bomb(60_000, 60_000), "refused"),
    "bomb GIF": (gif_bomb(), "refused"),
    "zero-width PNG": (png_bomb(0, 500), "unreadable"),
    "tiny": (phantom.encode(phantom.chest_phantom(40)), "refused"),
    "blank": (phantom.encode(np.full((256, 256), 90, np.uint8)), "refused"),
    "noise": (phantom.encode(np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)), "refused"),
    "colour": (phantom.encode(phantom.colour_photo()), "refused"),
    "page of text": (phantom.encode(phantom.text_page()), "refused"),
    "inverted": (phantom.encode(255 - phantom.chest_phantom(256)), "refused"),
    "wide": (phantom.encode(phantom.chest_phantom((200, 1600))), "refused"),
    "DICOM CT": (dicom(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), "refused"),
    "DICOM frames": (dicom(NumberOfFrames=4000), "refused"),
    "DICOM 65535 x 65535": (dicom(Rows=65535, Columns=65535), "refused"),
    "DICOM without rows": (dicom(Rows=None), "unreadable"),
    "DICOM too few pixels": (dicom(Rows=4000, Columns=4000), "unreadable"),
    "DICOM 64 bit": (dicom(BitsAllocated=64), "refused"),
    "DICOM 7 samples": (dicom(SamplesPerPixel=7), "refused"),
    "DICOM bits stored 200": (dicom(BitsStored=200), "unreadable"),
    "DICOM unknown photometry": (dicom(PhotometricInterpretation="MONOCHROME9"), "unreadable"),
    "DICOM cut short": (dicom()[:2000], "unreadable"),
    "DICOM magic only": (bytes(128) + b"DICM", "unreadable"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_422_with_reasons(client: FlaskClient, name: str) -> None:
    content, kind = FILES[name]
    problem = check_problem(client.post("/api/v1/predict", **form(("x.png", content))), 422, kind)
    assert problem["record"]["status"] == {"refused": "refused", "unreadable": "error"}[kind]
    assert problem["record"]["reasons"]
    assert all(reason.startswith("x.png: ") for reason in problem["record"]["reasons"])
    assert client.post("/api/v1/predict", **form(("x.png", CHEST))).status_code == 200


def test_bad_files_do_not_spoil_good_ones(client: FlaskClient) -> None:
    contents = [entry for bad, _ in FILES.values() for entry in (bad, CHEST)]
    for start in range(0, len(contents), 32):
        part = contents[start : start + 32]
        response = client.post("/api/v1/predict", **form(*((f"{i}", c) for i, c in enumerate(part))))
        assert [r["status"] == "ok" for r in json_of(response)["results"]] == [c is CHEST for c in part]


def test_the_real_leg_is_refused(client: FlaskClient) -> None:
    leg = dicom_sample("RG3_UNCR.dcm").read_bytes()
    check_problem(client.post("/api/v1/predict", **form(("leg.dcm", leg))), 422, "refused")


@pytest.mark.parametrize(
    ("data", "content_type", "status", "kind"),
    [
        ({}, "multipart/form-data", 400, "no-image"),
        ({"file": "hello"}, "multipart/form-data", 400, "no-image"),
        (b"", None, 400, "no-image"),
        (b"", "application/octet-stream", 400, "no-image"),
        (b"x", "multipart/form-data", 400, "bad-request"),
        (b"x", "multipart/form-data; boundary=b", 400, "no-image"),
        (
            b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            400,
            "bad-request",
        ),
        (b"--b\r\n\r\n\r\n", "multipart/form-data; boundary=b", 400, "no-image"),
        (b"{}", "application/json", 415, "unsupported-type"),
        (b"file=x", "application/x-www-form-urlencoded", 415, "unsupported-type"),
        (b"x", "text/plain", 415, "unsupported-type"),
        (b"x", "\xff/\x00", 415, "unsupported-type"),
    ],
)
def test_a_bad_form_or_type(client: FlaskClient, data: Any, content_type: str | None, status: int, kind: str) -> None:
    response = client.post("/api/v1/predict", data=data, content_type=content_type)
    check_problem(response, status, kind)


def test_an_empty_file_field_of_a_browser_is_400(client: FlaskClient) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--b--\r\n'
    response = client.post("/api/v1/predict", data=body, content_type="multipart/form-data; boundary=b")
    check_problem(response, 400, "no-image")


def test_a_wrong_field_is_named(client: FlaskClient) -> None:
    response = client.post("/api/v1/predict", **form(("x.png", CHEST), field="image"))
    assert "'image'" in check_problem(response, 400, "bad-request")["detail"]


def test_a_hundred_files_are_too_many(client: FlaskClient) -> None:
    files = [(f"{i}.png", CHEST) for i in range(100)]
    assert "100 files" in check_problem(client.post("/api/v1/predict", **form(*files)), 413, "too-large")["detail"]


def test_ten_thousand_parts_are_too_many(client: FlaskClient) -> None:
    response = client.post("/api/v1/predict", **form(*((f"{i}", b"") for i in range(10_000))))
    check_problem(response, 413, "too-large")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("ward 3/x.png", "x.png"),
        ("a..b.png", "a..b.png"),
        ("..png", "..png"),
        ("a\x1b[31mred.png", "a\N{REPLACEMENT CHARACTER}[31mred.png"),
        ("\u202egnp.exe", "\N{REPLACEMENT CHARACTER}gnp.exe"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("x" * 5000, "x" * 200),
        ("folder/", "input"),
    ],
)
def test_names_are_labels_never_paths(client: FlaskClient, sent: str, shown: str) -> None:
    (record,) = json_of(client.post("/api/v1/predict", **form((sent, CHEST))))["results"]
    assert record["path"] == shown
    assert record["status"] == "ok"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "/dev/stdin",
        "C:\\boot.ini",
        "\\\\host\\x.png",
        "a/../../x.png",
        "..",
        "x.exe\0.png",
    ],
)
def test_a_path_trick_is_400(client: FlaskClient, name: str) -> None:
    problem = check_problem(client.post("/api/v1/predict", **form((name, CHEST))), 400, "bad-request")
    assert "leads out of its folder" in problem["detail"]
    assert "\0" not in problem["detail"]
    assert client.post("/api/v1/predict", **form(("x.png", CHEST))).status_code == 200


def test_unknown_addresses_and_methods(client: FlaskClient) -> None:
    check_problem(client.get("/api/v2/predict"), 404, "not-found")
    check_problem(client.get("/static/../settings.py"), 404, "not-found")
    check_problem(client.get("/static/%2e%2e/settings.py"), 404, "not-found")
    response = client.get("/api/v1/predict")
    check_problem(response, 405, "method-not-allowed")
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(("size", "status"), [(999, 422), (1001, 413), (5000, 413)])
def test_a_chunked_body_above_the_limit_is_413(make_client: MakeClient, size: int, status: int) -> None:
    """As gunicorn hands it on; the built-in server stops it earlier."""
    response = make_client(max_upload=1000).post(
        "/api/v1/predict",
        input_stream=BytesIO(bytes(size)),
        content_type="application/octet-stream",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    check_problem(response, status, "too-large" if status == 413 else "unreadable")


def test_a_body_above_the_limit_is_413(client: FlaskClient) -> None:
    response = client.post("/api/v1/predict", data=bytes(65_000_000), content_type="application/octet-stream")
    assert "64 MB" in check_problem(response, 413, "too-large")["detail"]

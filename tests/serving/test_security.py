"""Tokens, origins, hosts, headers, rate limit, and what the logs do not say."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pneumoscope.errors import UsageError
from pneumoscope.serving.http.tokens import hash_token, is_known, new_token, read_token_file
from pneumoscope.serving.logs import JsonFormatter
from pneumoscope.serving.settings import Settings, is_loopback, settings_from_environment
from support import phantom
from support.web_kit import MakeClient, form, json_of

PREDICT = "/api/v1/predict"


def test_without_a_valid_token_nothing_is_judged(make_client: MakeClient, chest: bytes) -> None:
    token, digest = new_token()
    client = make_client(token_hashes=(hash_token("other"), digest))
    for header in ("", "Bearer", "Bearer ", f"Bearer {token}x", f"Basic {token}", token, f"Bearer {digest}"):
        response = client.post(PREDICT, **form(("x", chest)), headers={"Authorization": header})
        assert response.status_code == 401, header
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert json_of(response)["type"].endswith("#unauthorized")
        assert token not in response.text
    assert client.get("/metrics").status_code == 401
    assert client.get("/api/v1/models").status_code == 401
    for scheme in ("Bearer", "bearer"):
        good = client.post(PREDICT, **form(("x", chest)), headers={"Authorization": f"{scheme} {token}"})
        assert good.status_code == 200
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/static/page.js"):
        with client.get(path) as page:
            assert page.status_code == 200
    assert json_of(client.get("/openapi.json"))["paths"][PREDICT]["post"]["security"] == [{"token": []}]


def test_tokens_are_stored_as_hashes(tmp_path: Path) -> None:
    (one, first), (_, second) = new_token(), new_token()
    assert re.fullmatch(r"[\w-]{43}", one)
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n{first}  ward 3\n\n{second} # ward 4\n")
    assert read_token_file(file) == (first, second)
    assert is_known(one, (second, first))
    assert not is_known(first, (second, first))
    for text, said in (("", "holds no token"), ("x\n", "line 1"), (one, "line 1")):
        file.write_text(text)
        with pytest.raises(UsageError, match=said):
            read_token_file(file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_token_file(tmp_path / "missing")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:9"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "localhost@evil.example"}, 421),
        ({"Host": "localhost:http"}, 421),
    ],
)
def test_other_sites_cannot_make_a_browser_post(
    client: FlaskClient, chest: bytes, headers: dict[str, str], status: int
) -> None:
    response = client.post(PREDICT, **form(("x", chest)), headers=headers)
    assert response.status_code == status
    assert "Access-Control-Allow-Origin" not in response.headers


def test_hosts(make_client: MakeClient) -> None:
    assert Settings().hosts == ("localhost", "127.0.0.1", "::1")
    assert Settings(host="192.0.2.7").hosts == ()
    assert Settings(host="0.0.0.0", allowed_hosts=("x.example",)).hosts == ("x.example",)
    assert make_client(host="0.0.0.0").get("/", headers={"Host": "any.example"}).status_code == 200
    assert [is_loopback(h) for h in ("localhost", "127.8.8.8", "::1", "0.0.0.0", "::", "x.example")] == [True] * 3 + [
        False
    ] * 3


@pytest.mark.parametrize("path", ["/", "/docs", "/nope", "/healthz", "/static/page.css", "/api/v1/predict"])
def test_security_headers_are_on_everything(client: FlaskClient, path: str) -> None:
    with client.get(path) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-ID"])
    if not path.startswith("/static"):
        assert headers["Cache-Control"] == "no-store"


def test_request_ids_are_taken_over_if_they_are_harmless(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-1.2_3"}).headers["X-Request-ID"] == "abc-1.2_3"
    for bad in ("a b", "x" * 65, 'a"b', "é"):
        assert client.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"] != bad
    assert json_of(client.get("/nope", headers={"X-Request-ID": "me"}))["request_id"] == "me"


def test_the_rate_limit_answers_429(make_client: MakeClient) -> None:
    client = make_client(rate_limit="3 per minute", token_hashes=("0" * 64,))
    statuses = [client.get("/api/v1/models").status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]  # so tokens cannot be tried without end
    response = client.get("/api/v1/models")
    assert json_of(response)["type"].endswith("#rate-limited")
    assert 0 < int(response.headers["Retry-After"]) <= 60
    assert client.get("/healthz").status_code == 200


def test_logs_hold_no_name_path_query_or_identity(
    client: FlaskClient, chest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    dicom = phantom.dicom_bytes(phantom.dicom_dataset(phantom.chest_phantom(256), PatientName="Secret^Name"))
    with caplog.at_level(logging.DEBUG):
        client.post(f"{PREDICT}?heatmap=true", **form(("Secret.png", chest), ("Secret.dcm", dicom), ("Secret", b"x")))
        client.post(PREDICT, **form(("Secret", b"junk")))
        client.post(f"{PREDICT}?Secret=Secret", **form(("x", chest)), headers={"Authorization": "Bearer Secret"})
        client.get("/Secret/Secret")
        client.open("/", method="SECRET")
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name == "pneumoscope.serving"]
    assert len(lines) == 5
    assert "secret" not in "".join(lines).lower()
    entries = [json.loads(line) for line in lines]
    assert entries[0]["outcomes"] == ["ok", "ok", "error"]
    assert (entries[0]["route"], entries[0]["status"]) == (PREDICT, 200)
    assert [entry["status"] for entry in entries] == [200, 422, 422, 404, 405]
    assert all(entry["request_id"] and entry["ms"] >= 0 for entry in entries)


def test_an_unexpected_error_tells_nothing(
    client: FlaskClient, chest: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Secret")

    monkeypatch.setattr("pneumoscope.model.classifier.read_radiograph", fail)
    response = client.post(PREDICT, **form(("x", chest)))
    assert (response.status_code, response.content_type) == (500, "application/problem+json")
    assert "Secret" not in response.text
    record = next(r for r in caplog.records if r.getMessage() == "unexpected error")
    line = json.loads(JsonFormatter().format(record))
    assert line["exception"] == "RuntimeError"
    assert line["at"][-1].endswith(" fail")
    assert line["request_id"] == json_of(response)["request_id"]
    assert "Secret" not in str(line)


def test_nothing_is_written_to_disk(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", refuse)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse, raising=False)
    monkeypatch.setattr("werkzeug.formparser.TemporaryFile", refuse, raising=False)
    big = phantom.encode(phantom.chest_phantom((1600, 1600)))
    assert len(big) > 10**6
    response = client.post(PREDICT + "?heatmap=1&radiograph=1", **form(("a", big), ("b", big)))
    assert [r["status"] for r in json_of(response)["results"]] == ["ok", "ok"]


def test_settings_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(new_token()[1])
    settings = settings_from_environment(
        {
            "PNEUMOSCOPE_TOKEN_FILE": str(file),
            "PNEUMOSCOPE_WORKERS": "3",
            "PNEUMOSCOPE_RATE_LIMIT": "",
            "PNEUMOSCOPE_ALLOWED_HOSTS": "a.example, b.example",
        }
    )
    assert (settings.workers, settings.rate_limit, settings.hosts) == (3, None, ("a.example", "b.example"))
    assert len(settings.token_hashes) == 1
    with pytest.raises(UsageError, match="PNEUMOSCOPE_INSECURE"):
        settings_from_environment({})
    with pytest.raises(UsageError, match="'many' is not a whole number"):
        settings_from_environment({"PNEUMOSCOPE_INSECURE": "1", "PNEUMOSCOPE_WORKERS": "many"})
    with pytest.raises(UsageError, match="workers: 0"):
        settings_from_environment({"PNEUMOSCOPE_INSECURE": "1", "PNEUMOSCOPE_WORKERS": "0"})
    with pytest.raises(UsageError, match="max_files"):
        Settings(queue_size=2)

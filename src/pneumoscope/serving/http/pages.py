"""The page, the readable description of the API, health checks and metrics."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, render_template, request, url_for
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pneumoscope.model import wording
from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import RESEARCH_USE_ONLY, OperatingPoint
from pneumoscope.serving.http.problems import ProblemError
from pneumoscope.serving.http.schemas import Health, problem_responses
from pneumoscope.serving.metrics import CONTENT_TYPE
from pneumoscope.serving.queue import InferenceService
from pneumoscope.serving.settings import MEGABYTE, Settings


def install_pages(app: Flask, model: Model, settings: Settings) -> None:
    """Add ``/`` and ``/docs``."""
    app.jinja_env.globals["address"] = address
    shared: dict[str, Any] = {
        "notice": RESEARCH_USE_ONLY,
        "model": model,
        "settings": settings,
        "words": dict(wording.words()),
        "meaning": wording.meaning_of_score(model.contract),
        "heatmap_notice": wording.heatmap_notice(),
        "rates": _rates,
    }

    @app.route("/")
    def index() -> str:
        return render_template("index.html", max_megabytes=settings.max_upload // MEGABYTE, **shared)

    @app.route("/docs")
    def docs() -> str:
        assert isinstance(app, OpenAPI)
        return render_template("docs.html", api=app.api_doc, **shared)


def _rates(name: str, point: OperatingPoint) -> str:
    """An operating point with its rates, as the page's list has it."""
    rates = wording.share(point.sensitivity), wording.share(point.specificity)
    return wording.say("point_rates", name=name, sensitivity=rates[0], specificity=rates[1])


def address(endpoint: str, **values: Any) -> str:
    """Where a part of this server is, seen from the page that is being made.

    Relative, so that pages work below whatever path, scheme and port a proxy serves them at.
    """
    absolute = url_for(endpoint, **values)
    above = "../" * (request.path.count("/") - 1)
    return f"{above}{absolute.removeprefix('/')}" or "./"


def install_operations(app: OpenAPI, service: InferenceService, settings: Settings) -> None:
    """Add ``/openapi.json``, ``/healthz``, ``/readyz`` and ``/metrics``."""
    tag = Tag(name="Operations")

    @app.route("/openapi.json")
    def openapi() -> Response:
        return jsonify(app.api_doc)

    @app.get("/healthz", operation_id="healthz", tags=[tag], summary="Is the process alive?", responses={"200": Health})
    def healthz() -> Response:
        return jsonify({"status": "alive"})

    @app.get(
        "/readyz",
        operation_id="readyz",
        tags=[tag],
        summary="Would an image be taken now?",
        responses={"200": Health, **problem_responses(503)},
    )
    def readyz() -> Response:
        if service.is_stopping:
            raise ProblemError("stopping", "the server is stopping", {"Retry-After": "10"})
        if not service.is_ready:
            raise ProblemError("overloaded", "the queue is full", {"Retry-After": "1"})
        return jsonify({"status": "ready"})

    @app.get(
        "/metrics",
        operation_id="metrics",
        tags=[tag],
        summary="Counters in Prometheus's text format",
        security=[{"token": []}] if settings.token_hashes else None,
        responses={
            "200": {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **problem_responses(401, 429),
        },
    )
    def metrics() -> Response:
        return Response(service.metrics.text(), content_type=CONTENT_TYPE)

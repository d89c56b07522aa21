"""The routes of the API, version 1."""

from __future__ import annotations

import dataclasses
from typing import Any

from flask import Response, g, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from pneumoscope.errors import ContractError
from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import Status
from pneumoscope.serving.http.problems import ProblemError
from pneumoscope.serving.http.schemas import (
    PREDICT_BODY,
    ModelsResponse,
    PredictQuery,
    PredictResponse,
    problem_responses,
)
from pneumoscope.serving.http.uploads import take_uploads
from pneumoscope.serving.logs import log_score
from pneumoscope.serving.queue import InferenceService, Judged, PredictOptions
from pneumoscope.serving.settings import Settings


def create_api(model: Model, service: InferenceService, settings: Settings) -> APIBlueprint:
    """The blueprint of ``/api/v1``."""
    api = APIBlueprint(
        "api",
        __name__,
        url_prefix="/api/v1",
        abp_tags=[Tag(name="API", description=RESEARCH_USE_ONLY)],
        abp_security=[{"token": []}] if settings.token_hashes else None,
    )

    @api.post(
        "/predict",
        operation_id="predict",
        summary="Judge one radiograph or several",
        description=(
            "Takes form data with the field `file`, once or many times, or one file as the body. A single image that "
            "cannot be judged is answered with a problem document that holds its record; among several it is a "
            f"record. {RESEARCH_USE_ONLY}"
        ),
        responses={"200": PredictResponse, **problem_responses(400, 401, 403, 408, 413, 415, 422, 429, 503)},
        openapi_extensions={"requestBody": PREDICT_BODY},
    )
    def predict(query: PredictQuery) -> Response:
        uploads = take_uploads(request, settings.max_files)
        options = PredictOptions(
            query.operating_point, query.heatmap, query.radiograph, query.opacity, query.prevalence
        )
        try:
            results = service.judge(uploads, options, settings.predict_timeout)
        except ContractError as error:
            raise ProblemError("invalid-parameter", str(error)) from error
        g.outcomes = [result.prediction.status.value for result in results]
        if settings.log_scores:
            for result in results:
                log_score(result.prediction)
        if len(results) == 1 and results[0].prediction.status is not Status.OK:
            raise _as_problem(results[0], radiograph=query.radiograph)
        return jsonify({"results": [result.as_dict(radiograph=query.radiograph) for result in results]})

    @api.get(
        "/models",
        operation_id="models",
        summary="The models of this server",
        responses={"200": ModelsResponse, **problem_responses(401, 403, 429)},
    )
    def models() -> Response:
        return jsonify({"models": [_describe(model)]})

    return api


def _as_problem(result: Judged, *, radiograph: bool) -> ProblemError:
    prediction = result.prediction
    kind = "refused" if prediction.status is Status.REFUSED else "unreadable"
    return ProblemError(kind, "; ".join(prediction.reasons), record=result.as_dict(radiograph=radiograph))


def _describe(model: Model) -> dict[str, Any]:
    contract = dataclasses.asdict(model.contract)
    kept = (
        "quantization", "parameters", "input_height", "input_width", "labels", "subtypes", "operating_points",
        "default_operating_point", "typicality_limit", "conformal", "calibration",
        "intended_use",
    )  # fmt: skip
    return dataclasses.asdict(model.info) | {key: contract[key] for key in kept} | {"card": model.card}

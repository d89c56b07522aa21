"""Schemathesis: requests made up from ``/openapi.json``, answers held against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from flask_openapi3.openapi import OpenAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pneumoscope.serving.http.schemas import PredictQuery

OPERATIONS = {
    ("POST", "/api/v1/predict"): 60,
    ("GET", "/api/v1/models"): 10,
    ("GET", "/healthz"): 5,
    ("GET", "/readyz"): 5,
    ("GET", "/metrics"): 5,
}
"""Every operation of the description and how many requests to make up."""


def test_no_operation_is_left_out(make_app: Callable[..., OpenAPI]) -> None:
    paths = make_app().api_doc["paths"]
    assert {(method.upper(), path) for path, entry in paths.items() for method in entry} == set(OPERATIONS)


def test_the_kept_schema_is_pydantics_own() -> None:
    own = super(PredictQuery, PredictQuery).model_json_schema()
    PredictQuery.model_json_schema().clear()
    assert PredictQuery.model_json_schema() == own
    other = {"ref_template": "#/elsewhere/{model}", "mode": "serialization"}
    assert PredictQuery.model_json_schema(**other) == super(PredictQuery, PredictQuery).model_json_schema(**other)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_keep_to_the_description(make_app: Callable[..., OpenAPI], method: str, path: str) -> None:
    description = schemathesis.openapi.from_wsgi("/openapi.json", make_app())

    @settings(
        max_examples=OPERATIONS[method, path], deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(case=description[path][method].as_strategy())
    def run(case: Any) -> None:
        # The description calls any bytes a file; that most are no radiograph is rightly answered with 422.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    run()

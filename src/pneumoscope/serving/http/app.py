"""The app factory."""

from __future__ import annotations

from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.openapi import OpenAPI

from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.serving.http import guard, problems
from pneumoscope.serving.http.api import create_api
from pneumoscope.serving.http.device import install_device_page
from pneumoscope.serving.http.pages import install_operations, install_pages
from pneumoscope.serving.http.schemas import ProblemDocument, Unused
from pneumoscope.serving.http.uploads import InMemoryRequest
from pneumoscope.serving.queue import InferenceService
from pneumoscope.serving.settings import Settings

SERVICE = "pneumoscope"
"""Key of the app's :class:`InferenceService` in ``app.extensions``."""


class Api(OpenAPI):
    """flask-openapi3's app, without the validation error that it adds to every operation's description."""

    def generate_spec_json(self) -> None:
        """Make the description of the API."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        for path in self.spec_json["paths"].values():
            for operation in path.values():
                operation["responses"] = {
                    status: response
                    for status, response in operation["responses"].items()
                    if Unused.__name__ not in str(response)
                }
        del self.spec_json["components"]["schemas"][Unused.__name__]


def _description(model: Model) -> str:
    """Of the API: the notice, once, and what the model is for."""
    use = model.contract.intended_use
    return use if RESEARCH_USE_ONLY in use else f"{RESEARCH_USE_ONLY} {use}"


def create_app(model: Model, settings: Settings | None = None) -> OpenAPI:
    """Make the Flask app: page, API, description of the API, health checks, metrics.

    Args:
        model: that judges; shared by all threads.
        settings: those of a server on loopback by default.

    Returns:
        The app. ``app.extensions["pneumoscope"]`` is its :class:`InferenceService`; close it in the end.
    """
    settings = settings or Settings()
    app = Api(
        __name__,
        info=Info(title="Pneumoscope", version="1", description=_description(model)),
        security_schemes={"token": SecurityScheme(type="http", scheme="bearer")} if settings.token_hashes else {},
        validation_error_status=422,
        validation_error_model=Unused,
        validation_error_callback=problems.for_validation_error,
        doc_ui=False,
    )
    app.request_class = InMemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload
    app.json.sort_keys = False  # type: ignore[attr-defined]
    service = InferenceService(model, workers=settings.workers, queue_size=settings.queue_size)
    app.extensions[SERVICE] = service
    problems.install(app)
    guard.install(app, settings, service.metrics)
    app.register_api(create_api(model, service, settings))
    install_operations(app, service, settings)
    install_pages(app, model, settings)
    install_device_page(app)
    app.components_schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
    return app

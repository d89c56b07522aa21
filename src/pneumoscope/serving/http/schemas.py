"""The shapes of requests and responses, for checking and for ``/openapi.json``."""

from __future__ import annotations

import functools
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pneumoscope.drawing.heatmap import OPACITY
from pneumoscope.serving.http.problems import PROBLEM_JSON, TITLES
from pneumoscope.serving.http.uploads import FIELD


class PredictQuery(BaseModel):
    """Query parameters of ``predict``."""

    model_config = ConfigDict(extra="forbid")

    operating_point: str | None = Field(None, description="Name of a threshold; the model's default if not given.")
    prevalence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the patients who have pneumonia; adds `post_test`, what the score means there.",
    )
    heatmap: bool = Field(False, description="Give the Grad-CAM overlay as a PNG data URI.")
    radiograph: bool = Field(False, description="Add the member `radiograph`, the radiograph as a PNG data URI.")
    opacity: float = Field(OPACITY, ge=0, le=1, description="Opacity of the hottest spot of the overlay.")

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Pydantic's; as it is asked for at every request, without arguments, it is made once and only to be read."""
        return super().model_json_schema(*args, **options) if args or options else dict(_schema_of_query())


@functools.cache
def _schema_of_query() -> dict[str, Any]:
    return super(PredictQuery, PredictQuery).model_json_schema()


class ModelName(BaseModel):
    """Which model judged."""

    name: str
    version: str
    sha256: str = Field(description="Of the model file, 64 hex digits.")


class LungsEntry(BaseModel):
    """Where the lungs are."""

    box: list[float] = Field(
        min_length=4, max_length=4, description="Left, top, right, bottom, as shares of the picture's width and height."
    )


class ResultEntry(BaseModel):
    """What being on one side of the operating point means at a prevalence."""

    side: Literal["above", "below"]
    probability: float = Field(description="Share of pneumonia among all pictures on that side.")
    ci95: list[float] | None = Field(description="From the uncertainty of sensitivity and specificity.")
    likelihood_ratio: float | None = Field(description="Null where infinite.")
    likelihood_ratio_ci95: list[float | None] | None = Field(description="An end is null where infinite.")


class PostTestEntry(BaseModel):
    """What a score means where a stated share of the patients has pneumonia."""

    prevalence: float
    probability: float = Field(description="Of pneumonia given this score.")
    threshold: float = Field(description="Of the operating point on the same scale.")
    result: ResultEntry


class Record(BaseModel):
    """What the model says about one image."""

    path: str = Field(description="The file name that was sent, without folders; `input` for a raw body.")
    sha256: str | None = Field(description="Of the file; null if it could not be read.")
    status: Literal["ok", "refused", "error"]
    label: Literal["NORMAL", "PNEUMONIA"] | None
    probability: float | None = Field(
        description="Calibrated P(pneumonia) where half of the patients have it, 0 to 1; models of contract version 1: "
        "where as many have it as in their validation."
    )
    threshold: float = Field(description="PNEUMONIA from this probability on.")
    operating_point: str
    subtype: dict[str, float] | None = Field(description="Probabilities of NORMAL, BACTERIAL and VIRAL.")
    typicality: float | None = Field(description="How like a training radiograph the image is, 0 to 1.")
    reasons: list[str] = Field(description="Why the image was refused or failed, in words.")
    notes: list[str] = Field(description="What the reader of a judged record must know, in words.")
    heatmap: str | None = Field(description="PNG data URI of the overlay, if it was asked for.")
    prediction_set: list[str] | None = Field(
        description="Labels that the promised coverage leaves open; both mean that the model does not know."
    )
    lungs: LungsEntry | None = Field(description="Where the lungs are.")
    model: ModelName
    radiograph: str | None = Field(None, description="PNG data URI; only there if it was asked for.")
    post_test: PostTestEntry | None = Field(None, description="Only there if a prevalence was given.")


class PredictResponse(BaseModel):
    """Records, in the order of the images."""

    results: list[Record]


class RatesEntry(BaseModel):
    """What a threshold reached on one population."""

    population: str
    pneumonias: int
    normals: int
    sensitivity: float
    specificity: float
    ci95: dict[str, list[float]]


class OperatingPointEntry(BaseModel):
    """A threshold and what it reached on validation data."""

    threshold: float
    sensitivity: float
    specificity: float
    ci95: dict[str, list[float]] | None = Field(None, description="95 % intervals of both rates.")
    populations: list[RatesEntry] = Field([], description="The same by population.")


class CoverageEntry(BaseModel):
    """How often the prediction sets held the true label in one population."""

    population: str
    label: str
    n: int
    coverage: float
    ci95: list[float]
    uncertain: float


class ConformalEntry(BaseModel):
    """The scores at which both labels stay open."""

    coverage: float = Field(description="Promised for each class.")
    lower: float = Field(description="PNEUMONIA stays open from this probability on.")
    upper: float = Field(description="NORMAL stays open up to this probability.")
    populations: list[CoverageEntry]


class CalibrationEntry(BaseModel):
    """What the probability refers to."""

    prevalence: float
    source: str
    pneumonias: int
    normals: int
    weighting: str


class ModelEntry(BaseModel):
    """A model that this server runs."""

    name: str
    version: str
    sha256: str
    quantization: str
    parameters: int
    input_height: int
    input_width: int
    labels: list[str]
    subtypes: list[str]
    operating_points: dict[str, OperatingPointEntry]
    default_operating_point: str
    typicality_limit: float
    conformal: ConformalEntry | None = Field(description="Null where the model makes no promise of coverage.")
    calibration: CalibrationEntry | None = Field(description="Null in models of contract version 1.")
    intended_use: str
    card: str = Field(description="The model card, Markdown.")


class ModelsResponse(BaseModel):
    """The models of this server."""

    models: list[ModelEntry]


class Health(BaseModel):
    """State of the server."""

    status: str


class ProblemDocument(BaseModel):
    """A problem document, RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None
    record: Record | None = Field(None, description="Of a single image that could not be judged.")
    errors: list[dict[str, str]] | None = Field(None, description="Of parameters that are not valid.")


class Unused(BaseModel):
    """Stands in for flask-openapi3's own error shape, which this API does not use."""


def problem_responses(*statuses: int) -> dict[str | int, Any]:
    """OpenAPI responses for problem statuses."""
    reference = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    return {
        str(status): {
            "description": "; ".join(title for code, title in TITLES.values() if code == status),
            "content": {PROBLEM_JSON: reference},
        }
        for status in statuses
    }


_BINARY: Final = {"type": "string", "format": "binary"}
PREDICT_BODY: Final = {
    "required": True,
    "description": "JPEG, PNG, TIFF, BMP, WebP, GIF or DICOM; the type is told by content.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {FIELD: {"type": "array", "items": _BINARY, "minItems": 1}},
                "required": [FIELD],
                "additionalProperties": False,
            }
        },
        "application/octet-stream": {"schema": _BINARY},
        "application/dicom": {"schema": _BINARY},
        "image/*": {"schema": _BINARY},
    },
}

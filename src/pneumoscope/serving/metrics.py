"""What Prometheus reads, in a registry of its own for each app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pneumoscope.model.prediction import ModelInfo

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters of one app.

    Args:
        model: named in ``pneumoscope_model_info``.
        in_flight: gives the number of images that wait or are being judged.
    """

    def __init__(self, model: ModelInfo, in_flight: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pneumoscope_http_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "pneumoscope_http_request_seconds",
            "Seconds from request to response",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.images = Counter("pneumoscope_images", "Images by outcome", ("status",), registry=self.registry)
        self.stage_seconds = Histogram(
            "pneumoscope_stage_seconds",
            "Seconds an image spends in each stage",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.turned_away = Counter("pneumoscope_images_turned_away", "Images answered with 503", registry=self.registry)
        queue = Gauge("pneumoscope_images_in_flight", "Images that wait or are being judged", registry=self.registry)
        queue.set_function(in_flight)
        info = Gauge("pneumoscope_model_info", "The model", ("name", "version", "sha256"), registry=self.registry)
        info.labels(model.name, model.version, model.sha256).set(1)

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)

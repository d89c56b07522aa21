"""The inference service: a bounded queue before a few worker threads, each with an interpreter of its own.

A worker decodes an image and judges it. Pillow, NumPy and LiteRT release the interpreter lock, so workers
keep as many cores busy as there are workers, and the threads that speak HTTP only wait. The graph takes one image at
a time, so there is nothing to be won by gathering batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.model.classifier import Model
from pneumoscope.model.prediction import Prediction
from pneumoscope.serving.http.problems import ProblemError
from pneumoscope.serving.http.uploads import Upload
from pneumoscope.serving.metrics import Metrics
from pneumoscope.serving.pictures import overlay_uri, radiograph_uri


@dataclass(frozen=True)
class PredictOptions:
    """What a client asks for.

    Attributes:
        operating_point: name of a threshold; ``None`` for the model's default.
        heatmap: draw the heatmap over the radiograph.
        radiograph: give the radiograph as the model's reader sees it.
        opacity: of the hottest spot of the overlay, 0 to 1.
        prevalence: share of the patients who have pneumonia, strictly between 0 and 1; ``None`` asks for nothing.
    """

    operating_point: str | None = None
    heatmap: bool = False
    radiograph: bool = False
    opacity: float = 0.65
    prevalence: float | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """The outcome for one upload.

    Attributes:
        prediction: the record.
        overlay: PNG data URI, where asked for and there is a heatmap.
        radiograph: PNG data URI, where asked for and the image could be read.
    """

    prediction: Prediction
    overlay: str | None = None
    radiograph: str | None = None

    def as_dict(self, *, radiograph: bool) -> dict[str, Any]:
        """The record as JSON values; the member ``radiograph`` only where it was asked for."""
        record = self.prediction.as_dict(self.overlay)
        return record | {"radiograph": self.radiograph} if radiograph else record


class InferenceService:
    """Judges uploads in worker threads; turns away what exceeds its bound.

    Args:
        model: shared by the workers.
        workers: threads.
        queue_size: images that may wait or be judged at once.
    """

    def __init__(self, model: Model, *, workers: int, queue_size: int) -> None:
        self.metrics = Metrics(model.info, lambda: self._in_flight)
        self._model, self._queue_size = model, queue_size
        # Its threads start with the first image, so the app may be forked after it was made.
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="inference")
        self._lock, self._in_flight, self._stopping = threading.Lock(), 0, False

    @property
    def is_stopping(self) -> bool:
        """Whether new images are turned away for good."""
        return self._stopping

    @property
    def is_ready(self) -> bool:
        """Whether an image would be taken now."""
        return not self._stopping and self._in_flight < self._queue_size

    def judge(self, uploads: Sequence[Upload], options: PredictOptions, timeout: float) -> list[Judged]:
        """Judge images, in order.

        Args:
            uploads: all are taken, or none.
            options: the same for all.
            timeout: seconds.

        Raises:
            ProblemError: the queue is full, the service is stopping, or the time is over.
            ContractError: the model has no operating point of that name, or does not say what its scores refer to.
        """
        self._model.check(options.operating_point, options.prevalence)
        futures = self._submit(uploads, options)
        _, late = wait(futures, timeout)
        if late:
            for future in late:
                future.cancel()
            raise ProblemError(
                "timeout",
                f"{len(late)} of {len(futures)} images not judged within {timeout:g} seconds; try again later",
                {"Retry-After": "10"},
            )
        results = [future.result() for future in futures]
        for result in results:
            self.metrics.images.labels(result.prediction.status.value).inc()
        return results

    def stop_accepting(self) -> None:
        """Turn away new images; those that were taken are finished."""
        with self._lock:
            self._stopping = True

    def close(self, *, wait: bool = True) -> None:
        """End the workers.

        Args:
            wait: finish what was taken; else drop what has not begun, and return at once.
        """
        self.stop_accepting()
        self._pool.shutdown(wait=wait, cancel_futures=not wait)

    def _submit(self, uploads: Sequence[Upload], options: PredictOptions) -> list[Future[Judged]]:
        with self._lock:
            if self._stopping:
                raise ProblemError("stopping", "the server is stopping; try again in a moment", {"Retry-After": "10"})
            if self._in_flight + len(uploads) > self._queue_size:
                self.metrics.turned_away.inc(len(uploads))
                raise ProblemError(
                    "overloaded",
                    f"{self._in_flight} images are waiting, at most {self._queue_size} may; try again in a second",
                    {"Retry-After": "1"},
                )
            self._in_flight += len(uploads)
            futures = [self._pool.submit(self._guarded, upload, options) for upload in uploads]
        for future in futures:
            future.add_done_callback(self._release)
        return futures

    def _release(self, _future: Future[Judged]) -> None:
        with self._lock:
            self._in_flight -= 1

    def _guarded(self, upload: Upload, options: PredictOptions) -> Judged:
        """Judge one upload; whatever is thrown becomes an ``Exception``, which is answered with a 500.

        A panic of a library in another language is none, and would end the thread that waits for it.
        """
        try:
            return self._judge_one(upload, options)
        except Exception:
            raise
        except BaseException as error:
            raise RuntimeError(f"{type(error).__name__} in a worker") from error

    def _judge_one(self, upload: Upload, options: PredictOptions) -> Judged:
        examined = self._model.examine(
            upload.content, name=upload.name, operating_point=options.operating_point, prevalence=options.prevalence
        )
        if examined.radiograph is None:
            return Judged(examined.prediction)
        start = time.perf_counter()
        judged = Judged(examined.prediction, *self._draw(examined.radiograph, examined.prediction, options))
        self._observe("decode", examined.reading_seconds)
        self._observe("model", examined.judging_seconds)
        self._observe("pictures", time.perf_counter() - start)
        return judged

    @staticmethod
    def _draw(image: Radiograph, prediction: Prediction, options: PredictOptions) -> tuple[str | None, str | None]:
        drawn = options.heatmap and prediction.heatmap is not None
        return (
            overlay_uri(image.pixels, prediction.heatmap, options.opacity)
            if drawn and prediction.heatmap is not None
            else None,
            radiograph_uri(image.pixels) if options.radiograph else None,
        )

    def _observe(self, stage: str, seconds: float) -> None:
        self.metrics.stage_seconds.labels(stage).observe(seconds)

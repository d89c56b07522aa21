"""The one-file model: opens and checks the file, examines one radiograph or many."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar, overload

from pneumoscope.errors import InputError, MissingExtraError, ModelError, ModelFileError, RefusedInputError
from pneumoscope.imaging.quality import assess
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.imaging.resize import shrink
from pneumoscope.imaging.source import UNNAMED, Source, name_of, read_radiograph
from pneumoscope.model.contract import Contract
from pneumoscope.model.notes import notes_on
from pneumoscope.model.packaging import ModelPackage, read_package, unpack
from pneumoscope.model.post_test import check_prevalence, post_test
from pneumoscope.model.prediction import LungBox, ModelInfo, Prediction, Scale, Status
from pneumoscope.model.runtime import LiteRTRuntime, Outputs

BUILT_IN = "builtin.tflite"

T = TypeVar("T")
R = TypeVar("R")


def load_model(path: Path | str | None = None, *, threads: int = 1) -> Model:
    """Open a one-file model.

    Args:
        path: of the ``.tflite`` file; ``None`` for the built-in model.
        threads: that one inference may use.

    Raises:
        ModelFileError: missing, not a one-file model, cut short or changed.
        ContractError: its contract cannot be honoured.
    """
    if path is not None:
        return Model(read_package(Path(path)), origin=str(path), threads=threads)
    content = (resources.files("pneumoscope") / "models" / BUILT_IN).read_bytes()
    return Model(unpack(content, "built-in model"), origin="built-in model", threads=threads)


@dataclass(frozen=True, eq=False)
class Examination:
    """One reading of one radiograph and what the model says of it. Drawing takes it, so nothing is read twice.

    Attributes:
        radiograph: what was read; ``None`` where it could not be.
        prediction: the record.
        reading_seconds: that reading and decoding took.
        judging_seconds: that checks, resizing and the graph took.
    """

    radiograph: Radiograph | None
    prediction: Prediction
    reading_seconds: float = 0.0
    judging_seconds: float = 0.0


class Model:
    """A model that is ready to judge. May be shared by any number of threads: each gets its own interpreter.

    Args:
        package: the parts of a one-file model.
        origin: what messages call it.
        threads: that one inference may use.
    """

    def __init__(self, package: ModelPackage, *, origin: str = "model", threads: int = 1) -> None:
        self.contract: Contract = package.contract
        self.card = package.card
        self.info = ModelInfo(package.contract.name, package.contract.version, package.sha256)
        self._graph, self._threads, self._local = package.graph, threads, threading.local()
        try:
            runtime = self.runtime()
        except ModelFileError as error:
            raise ModelFileError(f"{origin}: {error}") from error
        expected = (self.contract.input_height, self.contract.input_width)
        if (runtime.height, runtime.width) != expected:
            raise ModelError(
                f"{origin}: the graph takes {runtime.width} x {runtime.height} pixels and its contract says "
                f"{expected[1]} x {expected[0]}; export the model anew"
            )
        if runtime.has_subtype != bool(self.contract.subtypes):
            raise ModelError(f"{origin}: graph and contract disagree about subtypes; export the model anew")
        if runtime.has_lungs != (self.contract.lung_field is not None):
            raise ModelError(f"{origin}: graph and contract disagree about the lung field; export the model anew")

    @property
    def graph(self) -> bytes:
        """The LiteRT flatbuffer, as it was packed."""
        return self._graph

    def runtime(self) -> LiteRTRuntime:
        """The calling thread's own interpreter, made when the thread first asks."""
        if not hasattr(self._local, "runtime"):
            self._local.runtime = LiteRTRuntime(self._graph, threads=self._threads)
        runtime: LiteRTRuntime = self._local.runtime
        return runtime

    @overload
    def predict(
        self, source: Source, *, operating_point: str | None = None, prevalence: float | None = None
    ) -> Prediction: ...

    @overload
    def predict(
        self, source: list[Source], *, operating_point: str | None = None, prevalence: float | None = None
    ) -> list[Prediction]: ...

    def predict(
        self, source: Source | list[Source], *, operating_point: str | None = None, prevalence: float | None = None
    ) -> Prediction | list[Prediction]:
        """The predictions of :meth:`examine` alone: one for a source, a list for a list of them, in order.

        Raises:
            UsageError: a source is none of the kinds that ``imaging.source.read_radiograph`` lists.
            ContractError: the model has no operating point of that name.
        """
        if isinstance(source, list):
            return list(self.predict_many(source, operating_point=operating_point, prevalence=prevalence))
        return self.examine(source, operating_point=operating_point, prevalence=prevalence).prediction

    def predict_many(
        self,
        sources: Iterable[Source],
        *,
        jobs: int = 1,
        operating_point: str | None = None,
        prevalence: float | None = None,
    ) -> Iterator[Prediction]:
        """The predictions of :meth:`examine_many` alone, lazily and in order."""
        examined = self.examine_many(sources, jobs=jobs, operating_point=operating_point, prevalence=prevalence)
        return (each.prediction for each in examined)

    def examine(
        self,
        source: Source,
        *,
        operating_point: str | None = None,
        prevalence: float | None = None,
        target: int | None = None,
        name: str | None = None,
    ) -> Examination:
        """Read one radiograph once and judge it.

        Args:
            source: a path, bytes, binary file object, ``uint8`` array or Pillow image; see
                :func:`~pneumoscope.imaging.source.read_radiograph`.
            operating_point: name of a threshold of this model; its default for ``None``.
            prevalence: share of the patients who have pneumonia, strictly between 0 and 1; the record then says what
                its score means there (``post_test``). ``None`` asks for nothing.
            target: least side in pixels that the pixels will be shrunk to, where they are to be drawn larger than
                the model's input; the model's input for ``None``. Large JPEGs may be decoded at a reduced scale.
            name: what the record calls the input; its path or "input" by default.

        Returns:
            The radiograph and its record. Bad input gives a record that says why, and no radiograph.

        Raises:
            UsageError: ``source`` is none of these kinds, or the prevalence is none.
            ContractError: the model has no operating point of that name, or does not say what its scores refer to.
        """
        self.check(operating_point, prevalence)
        name, begin = name or name_of(source), time.perf_counter()
        try:
            radiograph = read_radiograph(source, target=max(target or 0, self.contract.input_width), name=name)
        except (InputError, MissingExtraError) as error:
            unread = self._unread(name, error, operating_point)
            return Examination(None, unread, time.perf_counter() - begin)
        read = time.perf_counter()
        prediction = self.predict_image(radiograph, path=name, operating_point=operating_point, prevalence=prevalence)
        return Examination(radiograph, prediction, read - begin, time.perf_counter() - read)

    def check(self, operating_point: str | None, prevalence: float | None) -> None:
        """Refuse what this model cannot be asked, before anything is read.

        Raises:
            UsageError: the prevalence is not strictly between 0 and 1.
            ContractError: the model has no operating point of that name, or does not say what its scores refer to.
        """
        _, point = self.contract.operating_point(operating_point)
        if prevalence is not None:
            post_test(self.contract, point.threshold, point, check_prevalence(prevalence))

    def examine_many(
        self,
        sources: Iterable[Source],
        *,
        jobs: int = 1,
        operating_point: str | None = None,
        prevalence: float | None = None,
        target: int | None = None,
    ) -> Iterator[Examination]:
        """Examine many radiographs, lazily and in order.

        Args:
            sources: as :meth:`examine` takes them.
            jobs: threads that read and judge; a few inputs a thread are in flight at a time.
            operating_point: name of a threshold of this model; its default for ``None``.
            prevalence: see :meth:`examine`.
            target: see :meth:`examine`.

        Raises:
            UsageError: a source is of no known kind, or the prevalence is none.
            ContractError: the model has no operating point of that name, or does not say what its scores refer to.
            ValueError: ``jobs`` is below 1.
        """
        self.check(operating_point, prevalence)
        if jobs < 1:
            raise ValueError(f"jobs: {jobs}, at least 1 needed")

        if isinstance(sources, (str, Path, bytes, bytearray)):  # a string is one path, not many of one letter
            sources = [sources]

        def one(source: Source) -> Examination:
            return self.examine(source, operating_point=operating_point, prevalence=prevalence, target=target)

        return in_threads(one, sources, jobs)

    def _unread(self, path: str, error: InputError | MissingExtraError, operating_point: str | None) -> Prediction:
        name, point = self.contract.operating_point(operating_point)
        refused = isinstance(error, RefusedInputError)
        return Prediction(
            path=path,
            sha256=error.sha256 if isinstance(error, InputError) else None,
            status=Status.REFUSED if refused else Status.ERROR,
            threshold=point.threshold,
            operating_point=name,
            model=self.info,
            reasons=error.reasons if isinstance(error, RefusedInputError) else (str(error),),
        )

    def _unsound(self, path: str, image: Radiograph, notes: tuple[str, ...], operating_point: str | None) -> Prediction:
        name, point = self.contract.operating_point(operating_point)
        return Prediction(
            path=path,
            sha256=image.sha256,
            status=Status.ERROR,
            threshold=point.threshold,
            operating_point=name,
            model=self.info,
            reasons=(f"{path}: {self.info.name} {self.info.version} answers with what is no number; use another",),
            notes=notes,
        )

    def predict_image(
        self,
        image: Radiograph,
        *,
        path: str = UNNAMED,
        operating_point: str | None = None,
        prevalence: float | None = None,
    ) -> Prediction:
        """Judge an image that was read already.

        Args:
            image: from ``pneumoscope.imaging.source.read_radiograph``.
            path: what the record calls it.
            operating_point: name of a threshold of this model; its default for ``None``.
            prevalence: see :meth:`examine`.
        """
        name, point = self.contract.operating_point(operating_point)
        reasons, notes = assess(image), notes_on(image, self.contract)
        outputs: Outputs | None = None
        if not reasons:
            size = (self.contract.input_width, self.contract.input_height)
            outputs = self.runtime().run(shrink(image.pixels, width=size[0], height=size[1]))
            if not outputs.is_sound:
                return self._unsound(path, image, notes, operating_point)
            reasons = self._without_lungs(outputs)
            if outputs.typicality < self.contract.typicality_limit:
                reasons = (
                    *reasons,
                    "does not look like a frontal chest radiograph "
                    f"(typicality {outputs.typicality:.2f}, at least {self.contract.typicality_limit:.2f} needed)",
                )
        if outputs is None or reasons:
            return Prediction(
                path=path,
                sha256=image.sha256,
                status=Status.REFUSED,
                threshold=point.threshold,
                operating_point=name,
                model=self.info,
                typicality=None if outputs is None else outputs.typicality,
                reasons=tuple(f"{path}: {reason}" for reason in reasons),
                notes=notes,
                lungs=None if outputs is None else self._lungs(outputs),
            )
        subtype = None
        if outputs.subtype is not None:
            subtype = {key: float(value) for key, value in zip(self.contract.subtypes, outputs.subtype, strict=True)}
        label = self.contract.labels[int(outputs.probability >= point.threshold)]
        band = self.contract.conformal
        return Prediction(
            path=path,
            sha256=image.sha256,
            status=Status.OK,
            threshold=point.threshold,
            operating_point=name,
            model=self.info,
            label=label,
            probability=outputs.probability,
            subtype=subtype,
            typicality=outputs.typicality,
            heatmap=outputs.heatmap,
            notes=(*notes, *self._lung_notes(outputs)),
            lungs=self._lungs(outputs),
            prediction_set=None if band is None else band.labels(outputs.probability, self.contract.labels, label),
            post_test=(
                None
                if prevalence is None
                else post_test(self.contract, outputs.probability, point, check_prevalence(prevalence))
            ),
            scale=Scale(
                {key: each.threshold for key, each in self.contract.operating_points.items()},
                None if band is None else (band.lower, band.upper),
            ),
        )

    def _without_lungs(self, outputs: Outputs) -> tuple[str, ...]:
        """Why the picture cannot be judged for want of lungs; empty for a model that looks for none."""
        field = self.contract.lung_field
        return () if field is None or outputs.lungs is None else field.reasons(outputs.lungs)

    def _lung_notes(self, outputs: Outputs) -> tuple[str, ...]:
        field = self.contract.lung_field
        return () if field is None or outputs.lungs is None else field.notes(outputs.lungs)

    def _lungs(self, outputs: Outputs) -> LungBox | None:
        if outputs.lung_box is None or self._without_lungs(outputs):
            return None
        left, top, right, bottom = (float(side) for side in outputs.lung_box)
        return LungBox(left, top, right, bottom)


def in_threads(one: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """``map`` in threads: lazily and in order, with a few items a thread in flight; a plain ``map`` for one job."""
    return map(one, items) if jobs == 1 else _in_threads(one, items, jobs)


def _in_threads(one: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    with ThreadPoolExecutor(jobs, thread_name_prefix="pneumoscope") as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(one, item))
            if len(waiting) >= 4 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

"""The one-file model: opens and checks the file, judges one image or many."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import overload

from pneumoscope.errors import InputError, MissingExtraError, ModelError, ModelFileError, RefusedInputError
from pneumoscope.imaging.quality import assess
from pneumoscope.imaging.reader import GreyImage, read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.model.contract import Contract, OperatingPoint
from pneumoscope.model.packaging import ModelPackage, read_package, unpack
from pneumoscope.model.prediction import ModelInfo, Prediction, Status
from pneumoscope.model.runtime import LiteRTRuntime, Outputs

Source = Path | str | bytes
BUILT_IN = "builtin.tflite"
UNNAMED = "input"
"""What a record calls bytes that came without a name."""


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
    def predict(self, source: Source, *, operating_point: str | None = None) -> Prediction: ...

    @overload
    def predict(self, source: list[Source], *, operating_point: str | None = None) -> list[Prediction]: ...

    def predict(
        self, source: Source | list[Source], *, operating_point: str | None = None
    ) -> Prediction | list[Prediction]:
        """Judge one image, or a list of images in order.

        Args:
            source: a path, the bytes of an image or DICOM file, or a list of them.
            operating_point: name of a threshold of this model; its default for ``None``.

        Returns:
            One record, or one for each source. Bad input gives a record that says why, never an exception.

        Raises:
            ContractError: the model has no operating point of that name.
        """
        if isinstance(source, list):
            return list(self.predict_many(source, operating_point=operating_point))
        return self._predict(source, *self.contract.operating_point(operating_point))

    def predict_many(
        self, sources: Iterable[Source], *, jobs: int = 1, operating_point: str | None = None
    ) -> Iterator[Prediction]:
        """Judge many images, lazily and in order.

        Args:
            sources: paths or bytes.
            jobs: threads that read and judge; a few inputs a thread are in flight at a time.
            operating_point: name of a threshold of this model; its default for ``None``.

        Raises:
            ContractError: the model has no operating point of that name.
            ValueError: ``jobs`` is below 1.
        """
        chosen = self.contract.operating_point(operating_point)
        if jobs < 1:
            raise ValueError(f"jobs: {jobs}, at least 1 needed")
        if jobs == 1:
            return (self._predict(source, *chosen) for source in sources)
        return self._in_threads(sources, jobs, chosen)

    def _in_threads(
        self, sources: Iterable[Source], jobs: int, chosen: tuple[str, OperatingPoint]
    ) -> Iterator[Prediction]:
        with ThreadPoolExecutor(jobs, thread_name_prefix="pneumoscope") as pool:
            waiting: deque[Future[Prediction]] = deque()
            for source in sources:
                waiting.append(pool.submit(self._predict, source, *chosen))
                if len(waiting) >= 4 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _predict(self, source: Source, name: str, point: OperatingPoint) -> Prediction:
        path = UNNAMED if isinstance(source, bytes) else str(source)
        try:
            image = read_image(Path(source) if isinstance(source, str) else source, target=self.contract.input_width)
        except (InputError, MissingExtraError) as error:
            refused = isinstance(error, RefusedInputError)
            return Prediction(
                path=path,
                sha256=None,
                status=Status.REFUSED if refused else Status.ERROR,
                threshold=point.threshold,
                operating_point=name,
                model=self.info,
                reasons=error.reasons if isinstance(error, RefusedInputError) else (str(error),),
            )
        return self.predict_image(image, path=path, operating_point=name)

    def predict_image(self, image: GreyImage, *, path: str = UNNAMED, operating_point: str | None = None) -> Prediction:
        """Judge an image that was read already.

        Args:
            image: from ``pneumoscope.imaging.reader.read_image``.
            path: what the record calls it.
            operating_point: name of a threshold of this model; its default for ``None``.
        """
        name, point = self.contract.operating_point(operating_point)
        reasons = assess(image)
        outputs: Outputs | None = None
        if not reasons:
            size = (self.contract.input_width, self.contract.input_height)
            outputs = self.runtime().run(shrink(image.pixels, width=size[0], height=size[1]))
            if outputs.typicality < self.contract.typicality_limit:
                reasons = (
                    "does not look like a frontal chest radiograph "
                    f"(typicality {outputs.typicality:.2f}, at least {self.contract.typicality_limit:.2f} needed)",
                    *image.notes,
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
            )
        subtype = None
        if outputs.subtype is not None:
            subtype = {key: float(value) for key, value in zip(self.contract.subtypes, outputs.subtype, strict=True)}
        return Prediction(
            path=path,
            sha256=image.sha256,
            status=Status.OK,
            threshold=point.threshold,
            operating_point=name,
            model=self.info,
            label=self.contract.labels[int(outputs.probability >= point.threshold)],
            probability=outputs.probability,
            subtype=subtype,
            typicality=outputs.typicality,
            heatmap=outputs.heatmap,
        )

"""Scores a shard: in one go, or one input at a time in a process that may die."""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from pneumoscope.archive.items import Item, Source
from pneumoscope.archive.job import Settings
from pneumoscope.archive.records import Scored, ShardTables, as_tables
from pneumoscope.archive.sources import open_source
from pneumoscope.errors import ArchiveError, InputError, RefusedInputError
from pneumoscope.model.classifier import Model, load_model
from pneumoscope.model.prediction import Prediction, Status

ITEM_SECONDS: Final = 120.0
"""One input that is tried alone may take this long; then its process is ended and its record says so."""

CHANGED: Final = "the file changed since the archive was listed"


class Scorer:
    """A model and a source, opened once in a worker.

    Args:
        settings: of the job.

    Raises:
        ArchiveError: the model is not the one that the job was begun with, or the source cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: Model = load_model(None if settings.model is None else Path(settings.model))
        if self._model.info.sha256 != settings.model_sha256:
            raise ArchiveError(
                f"{settings.model or 'built-in model'}: is another model here than the job was begun with; install the "
                "same version on every machine"
            )
        self._source: Source = open_source(settings.source, where=settings.where, column=settings.column)

    def score(self, items: Sequence[Item], told: Callable[[], None] = lambda: None) -> ShardTables:
        """Score a shard in order; ``told`` is called after each input.

        What a damaged file makes a decoder raise becomes its record; a decoder that takes its process with it ends
        this one, and the engine then calls :func:`score_alone`.
        """
        scored = []
        for item in items:
            scored.append(self.score_item(item))
            told()
        return as_tables(scored, heatmaps=self._settings.heatmaps)

    def score_item(self, item: Item) -> Scored:
        """Read and judge one input."""
        begin = time.perf_counter()
        try:
            now = self._source.stamp(item)
            content = self._source.read(item)
        except InputError as error:
            refused = isinstance(error, RefusedInputError)
            return Scored(item, self.unscored(item, str(error), Status.REFUSED if refused else Status.ERROR))
        read = time.perf_counter()
        try:
            examined = self._model.examine(content, operating_point=self._settings.operating_point, name=item.name)
        except Exception as error:  # noqa: BLE001 - one input of a million must not end a night's work
            reason = f"{item.name}: the decoder failed ({type(error).__name__}: {error})"
            return Scored(now, self.unscored(item, reason), len(content))
        prediction = examined.prediction
        if item.modified and now.modified != item.modified:
            prediction = dataclasses.replace(prediction, notes=(*prediction.notes, CHANGED))
        done = time.perf_counter()
        radiograph = examined.radiograph
        return Scored(
            now,
            prediction,
            len(content),
            format=None if radiograph is None else radiograph.format.value,
            width=None if radiograph is None else radiograph.width,
            height=None if radiograph is None else radiograph.height,
            read_seconds=read - begin,
            judge_seconds=done - read,
        )

    def unscored(self, item: Item, reason: str, status: Status = Status.ERROR) -> Prediction:
        """The record of an input that could not be judged."""
        name, point = self._model.contract.operating_point(self._settings.operating_point)
        return Prediction(
            path=item.name,
            sha256=None,
            status=status,
            threshold=point.threshold,
            operating_point=name,
            model=self._model.info,
            reasons=(reason,),
        )


def score_alone(settings: Settings, items: Sequence[Item], seconds: float = ITEM_SECONDS) -> ShardTables:
    """Score a shard whose worker died: each input in a child process, which may die or hang without harm.

    Args:
        settings: of the job.
        items: of the shard.
        seconds: that one input may take.
    """
    scorer = Scorer(settings)
    scored: list[Scored] = []
    child: _Child | None = None
    try:
        for item in items:
            child = child or _Child(settings)
            try:
                scored.append(child.score(item, seconds))
            except _ChildDiedError as error:
                reason = f"{item.name}: {error}; it was tried alone and passed over"
                scored.append(Scored(item, scorer.unscored(item, reason)))
                child = None
    finally:
        if child is not None:
            child.end()
    return as_tables(scored, heatmaps=settings.heatmaps)


class _ChildDiedError(Exception):
    """The child ended or hung over one input."""


class _Child:
    """A process that scores one input after another."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(settings, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._wait(seconds=600.0)  # for the model; an import on a busy machine is slow

    def score(self, item: Item, seconds: float) -> Scored:
        try:
            self._pipe.send(item)
            answer: Any = self._wait(seconds)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode
            raise _ChildDiedError(f"its decoder ended the process (exit status {code})") from None
        assert isinstance(answer, Scored)
        return answer

    def _wait(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            self.end()
            raise _ChildDiedError(f"took over {seconds:g} seconds")
        return self._pipe.recv()

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(settings: Settings, pipe: Connection) -> None:
    scorer = Scorer(settings)
    pipe.send("ready")
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        pipe.send(scorer.score_item(item))

"""From a finished run to one-file models with their parity and reports."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.images import RunImages
from pneumoscope.calibration.run import calibrated_run
from pneumoscope.datasets.source import origins_of
from pneumoscope.errors import ExportError
from pneumoscope.evaluation.out_of_fold import report_out_of_fold
from pneumoscope.evaluation.report import EvaluationReport
from pneumoscope.export import mediapipe
from pneumoscope.export.card import CardFacts, write_card
from pneumoscope.export.correction import compensate, measure_shift
from pneumoscope.export.forms import ONE_FILE, ExportFormat
from pneumoscope.export.graph import assemble as assemble_graph
from pneumoscope.export.keras_files import save_keras, save_saved_model
from pneumoscope.export.litert import convert
from pneumoscope.export.parity import (
    ExportedForm,
    ModelOutputs,
    Parity,
    Radiographs,
    Thresholds,
    measure_parity,
    predict_with_keras,
    predict_with_litert,
)
from pneumoscope.export.parity_page import Comparison, render_page
from pneumoscope.files import make_folder, write_atomically
from pneumoscope.model.contract import (
    CONTRACT_VERSION,
    RESEARCH_USE_ONLY,
    Contract,
    Population,
    Provenance,
    Quantization,
)
from pneumoscope.model.lung_field import LungField
from pneumoscope.model.packaging import pack
from pneumoscope.training.batches import SUBTYPES, PixelSet
from pneumoscope.training.lungs.shipped import lung_field_network
from pneumoscope.training.out_of_fold import read_out_of_fold
from pneumoscope.training.run_folder import RunFolder

MODEL_VERSION = "2.0.0"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        models: one-file models, by form and quantisation.
        others: ``.keras``, ``.h5`` and the SavedModel folder.
        parity: of every one-file model.
    """

    models: dict[tuple[ExportFormat, Quantization], Path]
    others: tuple[Path, ...]
    parity: tuple[Parity, ...]


def export_run(
    run: RunFolder, out: Path, quantizations: Sequence[Quantization], forms: Sequence[ExportFormat]
) -> Exported:
    """Export a run's best weights and measure parity and validation figures of what was exported.

    Args:
        run: of ``pneumoscope train``.
        out: folder for ``NAME-QUANTIZATION.tflite``, ``NAME-QUANTIZATION-mediapipe.tflite``, ``NAME.keras``,
            ``NAME.h5``, ``NAME-saved-model/``, ``parity.json``, ``parity.html`` and
            ``out-of-fold.json``.
        quantizations: of the one-file models.
        forms: what to write.

    Raises:
        ExportError: a parity limit is broken (``parity.json`` says which; that model is not written).
        TrainingError, DataError: the run or its images cannot be used.
        PneumoscopeError: the disk is full or the folder cannot be written.
    """
    make_folder(out)
    export = _Export(run, out)
    compared: list[Comparison] = []
    models: dict[tuple[ExportFormat, Quantization], Path] = {}
    if any(form in ONE_FILE for form in forms):
        for quantization in quantizations:
            graph = export.graph_for(quantization)
            for form in forms:
                if form in ONE_FILE:
                    comparison, file = export.write_one_file(graph, form, quantization)
                    compared.append(comparison)
                    if file is not None:
                        models[form, quantization] = file
        export.write_parity(compared)
    measured = tuple(comparison.parity for comparison in compared)
    others = export.write_others(forms)
    if failures := [f"{p.form} {p.quantization}: {'; '.join(p.broken)}" for p in measured if p.broken]:
        raise ExportError(f"{run.path}: parity limits broken, these models were not written: {' | '.join(failures)}")
    return Exported(models, others, measured)


class _Export:
    """One export: what is fitted and judged once and used for every form."""

    def __init__(self, run: RunFolder, out: Path) -> None:
        self._run, self._out = run, out
        self._recipe, self._seed, self._settings = run.read_settings()
        self._network, self._run_images = run.load_best(), RunImages(run)
        self._calibrated = calibrated_run(self._network, self._run_images)
        self._lung_field = lung_field_network() if self._recipe.lung_field else None
        self._graph = assemble_graph(
            self._network, self._calibrated.calibration, self._calibrated.typicality, self._lung_field
        )
        self._images = _radiographs(list(self._run_images.validation.values()))
        self._reference = predict_with_keras(self._graph, self._images.pixels)
        self._thresholds = Thresholds(
            self._calibrated.operating_points,
            self._calibrated.default_operating_point,
            self._calibrated.typicality_limit,
        )
        self._reports = self._report_out_of_fold()
        self._float32: dict[ExportFormat, bytes] = {}

    def graph_for(self, quantization: Quantization) -> keras.Model:
        """The complete graph whose ends take back what this quantisation shifts; see ``export.correction``."""
        if quantization is Quantization.FLOAT32:
            return self._graph
        calibrated = self._calibrated
        first = convert(self._graph, quantization, self._representative(ExportFormat.LITERT))
        shift = measure_shift(self._graph, first, self._run_images.representative)
        ends = compensate(shift, calibrated.calibration, calibrated.typicality)
        return assemble_graph(self._network, *ends, self._lung_field)

    def write_one_file(
        self, graph: keras.Model, form: ExportFormat, quantization: Quantization
    ) -> tuple[Comparison, Path | None]:
        """Convert, compare, and write the model unless a limit is broken."""
        contract = self._contract(quantization)
        flatbuffer = self._converted(graph, form, quantization)
        judged = _SHAPES[form][1](flatbuffer, self._images.pixels)
        float32 = self._converted(self._graph, form, Quantization.FLOAT32)
        exported = ExportedForm(form.value, quantization, len(flatbuffer), len(float32))
        parity = measure_parity(exported, judged, self._reference, self._images, self._thresholds)
        comparison = Comparison(parity, judged)
        if parity.broken:
            return comparison, None
        card = write_card(CardFacts(contract, self._run_images.rows, self._reports, parity))
        stem = f"{contract.name}-{quantization}"
        if form is ExportFormat.MEDIAPIPE:
            file = self._out / f"{stem}-mediapipe.tflite"
            write_atomically(file, pack(flatbuffer, contract, card, labels=mediapipe.class_names(contract)))
            return comparison, file
        file = self._out / f"{stem}.tflite"
        write_atomically(file, pack(flatbuffer, contract, card))
        content = {name: report.to_json() for name, report in self._reports.items()}
        _write_json(self._out / "out-of-fold.json", content)
        return comparison, file

    def write_parity(self, compared: Sequence[Comparison]) -> None:
        """``parity.json`` and ``parity.html``."""
        _write_json(
            self._out / "parity.json",
            {
                "notice": RESEARCH_USE_ONLY,
                "model": {"name": self._recipe.name, "version": MODEL_VERSION},
                "radiographs": {role.value: len(images.rows) for role, images in self._run_images.validation.items()},
                "exports": [dataclasses.asdict(comparison.parity) for comparison in compared],
            },
        )
        points = list(self._calibrated.operating_points.values())
        page = render_page(f"{self._recipe.name} {MODEL_VERSION}", compared, self._reference, points)
        write_atomically(self._out / "parity.html", page.encode())

    def write_others(self, forms: Sequence[ExportFormat]) -> tuple[Path, ...]:
        """Keras' and TensorFlow's formats."""
        name, files = self._recipe.name, []
        if ExportFormat.KERAS in forms:
            files += save_keras(self._graph, self._out, name)
        if ExportFormat.SAVED_MODEL in forms:
            files.append(save_saved_model(self._graph, self._out, name))
        return tuple(files)

    def _representative(self, form: ExportFormat) -> Sequence[NDArray[np.uint8]]:
        grey = [image[..., None] for image in self._run_images.representative]
        return grey if form is ExportFormat.LITERT else [np.repeat(image, 3, axis=2) for image in grey]

    def _converted(self, graph: keras.Model, form: ExportFormat, quantization: Quantization) -> bytes:
        """The flatbuffer of one form; that of float32, which all others are measured against, is made once."""
        if quantization is Quantization.FLOAT32 and form in self._float32:
            return self._float32[form]
        flatbuffer = convert(_SHAPES[form][0](graph), quantization, self._representative(form))
        if form is ExportFormat.MEDIAPIPE:
            flatbuffer = mediapipe.with_metadata(flatbuffer, self._contract(quantization))
        if quantization is Quantization.FLOAT32:
            self._float32[form] = flatbuffer
        return flatbuffer

    def _contract(self, quantization: Quantization) -> Contract:
        settings, recipe = self._settings, self._recipe
        origin = Provenance(
            recipe.name, self._seed, settings["manifest_sha256"], self._run.best_epoch(), settings["versions"]
        )
        people = [origin.population for origin in origins_of(self._run_images.rows)]
        population = Population.together(people) if people else None
        return Contract(
            name=recipe.name,
            version=MODEL_VERSION,
            graph_sha256="",  # filled in by pack()
            quantization=quantization,
            operating_points=self._calibrated.operating_points,
            default_operating_point=self._calibrated.default_operating_point,
            typicality_limit=self._calibrated.typicality_limit,
            conformal=self._calibrated.conformal,
            calibration=self._calibrated.record,
            contract_version=CONTRACT_VERSION,
            parameters=self._network.count_params(),
            provenance=origin,
            subtypes=SUBTYPES if recipe.classes == 3 else (),
            intended_use=_intended_use(population),
            population=population,
            lung_field=LungField(recipe.network_size) if recipe.lung_field else None,
        )

    def _report_out_of_fold(self) -> dict[str, EvaluationReport]:
        """Figures of the network's members, each on the patients that it was not trained on."""
        scores, calibrated = read_out_of_fold(self._run.out_of_fold), self._calibrated
        points = {name: point.threshold for name, point in calibrated.operating_points.items()}
        return report_out_of_fold(
            scores,
            calibrated.calibration.probability(scores.logits),
            threshold=points[calibrated.default_operating_point],
            operating_point=calibrated.default_operating_point,
            operating_points=points,
            model={"name": self._recipe.name, "version": MODEL_VERSION},
        )


_SHAPES: dict[
    ExportFormat, tuple[Callable[[keras.Model], keras.Model], Callable[[bytes, NDArray[np.uint8]], ModelOutputs]]
] = {
    ExportFormat.LITERT: (lambda graph: graph, predict_with_litert),
    ExportFormat.MEDIAPIPE: (mediapipe.classifier_graph, mediapipe.predict_with_classifier),
}


def _intended_use(population: Population | None) -> str:
    whom = "patients like those it was trained on" if population is None else population.description
    return f"{RESEARCH_USE_ONLY} Frontal chest radiographs of {whom}."


def _radiographs(parts: Sequence[PixelSet]) -> Radiographs:
    rows = [row for part in parts for row in part.rows]
    return Radiographs(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.positive for part in parts]),
        [row.patient for row in rows],
        [row.path.name for row in rows],
    )


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

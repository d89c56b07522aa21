"""From a finished run to one-file models with their parity and reports."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pneumoscope.atomic import make_folder, write_atomically
from pneumoscope.contract import Contract, Provenance, Quantization
from pneumoscope.data.splits import Role
from pneumoscope.errors import ExportError
from pneumoscope.evaluation.predictions import PredictionTable
from pneumoscope.evaluation.report import EvaluationReport, assemble
from pneumoscope.export.card import CardFacts, write_card
from pneumoscope.export.fitting import TYPICALITY_LIMIT, Fitted, fit_run
from pneumoscope.export.graph import assemble as assemble_graph
from pneumoscope.export.litert import convert, save_keras
from pneumoscope.export.parity import Parity, measure_parity
from pneumoscope.packaging import pack
from pneumoscope.runtime import LiteRTRuntime
from pneumoscope.training.pipeline import SUBTYPES, PixelSet
from pneumoscope.training.recipe import Recipe
from pneumoscope.training.runs import RunFolder

MODEL_VERSION = "1.0.0"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        models: one-file models, by quantisation.
        keras_files: ``.keras`` and ``.h5``.
        parity: of every one-file model.
    """

    models: dict[Quantization, Path]
    keras_files: tuple[Path, ...]
    parity: tuple[Parity, ...]


def export_run(run: RunFolder, out: Path, quantizations: Sequence[Quantization], *, keras_too: bool = True) -> Exported:
    """Export a run's best weights and measure parity and validation figures of what was exported.

    Args:
        run: of ``pneumoscope train``.
        out: folder for ``NAME-QUANTIZATION.tflite``, ``NAME.keras``, ``NAME.h5``, ``parity.json`` and
            ``validation-QUANTIZATION.json``.
        quantizations: which one-file models to write.
        keras_too: whether to write ``.keras`` and ``.h5``.

    Raises:
        ExportError: a parity limit is broken (``parity.json`` says which; that model is not written).
        TrainingError, DataError: the run or its images cannot be used.
    """
    recipe, seed, settings = run.read_settings()
    fitted = fit_run(run)
    graph = assemble_graph(fitted.network, fitted.calibration, fitted.typicality)
    make_folder(out)
    images = list(fitted.validation.values())
    pixels = np.concatenate([part.pixels for part in images])
    positive = np.concatenate([part.positive for part in images])
    models, measured = {}, []
    for quantization in quantizations:
        flatbuffer = convert(graph, quantization, fitted.representative)
        parity = measure_parity(graph, flatbuffer, quantization, pixels, positive, fitted.operating_points)
        measured.append(parity)
        if not parity.broken:
            contract = _contract(recipe, seed, settings, run, fitted, quantization)
            models[quantization] = _write_model(out, flatbuffer, contract, fitted, run)
    _write_json(out / "parity.json", [dataclasses.asdict(parity) for parity in measured])
    keras_files = tuple(save_keras(graph, out, recipe.network)) if keras_too else ()
    if failures := [f"{parity.quantization}: {'; '.join(parity.broken)}" for parity in measured if parity.broken]:
        raise ExportError(f"{run.path}: parity limits broken, these models were not written: {' | '.join(failures)}")
    return Exported(models, keras_files, tuple(measured))


def _contract(
    recipe: Recipe, seed: int, settings: dict[str, Any], run: RunFolder, fitted: Fitted, quantization: Quantization
) -> Contract:
    return Contract(
        name=recipe.network,
        version=MODEL_VERSION,
        graph_sha256="",  # filled in by pack()
        quantization=quantization,
        operating_points=fitted.operating_points,
        default_operating_point="balanced",
        typicality_limit=TYPICALITY_LIMIT,
        parameters=fitted.network.count_params(),
        provenance=Provenance(recipe.name, seed, settings["manifest_sha256"], run.best_epoch(), settings["versions"]),
        subtypes=SUBTYPES if recipe.classes == 3 else (),
    )


def _write_model(out: Path, flatbuffer: bytes, contract: Contract, fitted: Fitted, run: RunFolder) -> Path:
    reports = {role: _validate(flatbuffer, contract, images, role) for role, images in fitted.validation.items()}
    card = write_card(CardFacts(contract, run.read_manifest(), reports))
    file = out / f"{contract.name}-{contract.quantization}.tflite"
    write_atomically(file, pack(flatbuffer, contract, card))
    _write_json(
        out / f"validation-{contract.quantization}.json", {role.value: r.to_json() for role, r in reports.items()}
    )
    return file


def _validate(flatbuffer: bytes, contract: Contract, images: PixelSet, role: Role) -> EvaluationReport:
    """Judge a validation with the exported graph itself; an untypical image counts as refused."""
    runtime = LiteRTRuntime(flatbuffer, threads=2)
    outputs = [runtime.run(image) for image in images.pixels]
    name, point = contract.operating_point()
    subtypes = [o.subtype for o in outputs if o.subtype is not None]
    table = PredictionTable.from_arrays(
        images.positive.astype(np.int64),
        np.array([output.probability for output in outputs]),
        paths=[row.path.name for row in images.rows],
        patients=[row.patient for row in images.rows],
        subtypes=[row.subtype for row in images.rows],
        subtype_probabilities=np.stack(subtypes) if subtypes else None,
    )
    return assemble(
        table,
        threshold=point.threshold,
        operating_point=name,
        operating_points={key: value.threshold for key, value in contract.operating_points.items()},
        split=role.value,
        model={"name": contract.name, "version": contract.version, "quantization": contract.quantization.value},
    )


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

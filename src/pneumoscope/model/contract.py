"""The contract of a model: what its graph cannot say, as JSON that travels inside the model file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_type_hints

from pneumoscope.errors import ContractError
from pneumoscope.model.lung_field import LungField
from pneumoscope.model.operating_point import (
    BALANCED,
    CalibrationRecord,
    ConformalBand,
    OperatingPoint,
    PopulationCoverage,
    PopulationRates,
    as_interval,
)

__all__ = [
    "CONTRACT_VERSION",
    "RESEARCH_USE_ONLY",
    "CalibrationRecord",
    "ConformalBand",
    "Contract",
    "OperatingPoint",
    "Population",
    "Provenance",
    "Quantization",
    "ResizeFilter",
]

VALIDATION_SCALE = 1
"""Format in which probabilities refer to the prevalence of the validation, and any threshold may be the default."""

CONTRACT_VERSION = 2
"""Newest format: probabilities refer to a prevalence of 50 %, and the default operating point is 0.5 on that scale."""

RESEARCH_USE_ONLY = "Research use only. Not a medical device."


class ResizeFilter(StrEnum):
    """How an image is brought to the input size."""

    BILINEAR_ANTIALIASED = "bilinear-antialiased"
    """Triangle filter widened by the shrinking factor, aspect ratio not kept (Pillow's ``BILINEAR``)."""


class Quantization(StrEnum):
    """Numbers a graph computes with."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    """Weights stored as float16, computed as float32."""
    DYNAMIC = "dynamic"
    """Weights as int8, activations quantised while running."""
    INT8 = "int8"
    """The network's weights and activations as int8; standardisation, calibration, heatmap, typicality in float32."""


@dataclass(frozen=True)
class Provenance:
    """Where the weights come from.

    Attributes:
        recipe: name of the training recipe.
        seed: of the run.
        manifest_sha256: hash over the training data's manifest, 64 hex digits.
        epoch: that the weights were taken after, counted from 1.
        versions: of the software that trained it.
    """

    recipe: str
    seed: int
    manifest_sha256: str
    epoch: int
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Population:
    """Whom a data set shows, or whom a model was trained on.

    Attributes:
        description: in words, as in ``"children of one to five years, one hospital (Guangzhou), frontal views"``.
        ages: first and last age of each group in whole years, both included; empty where unknown.
    """

    description: str
    ages: tuple[tuple[int, int], ...] = ()

    def includes(self, age: float) -> bool | None:
        """Whether a patient of this age in years belongs to it; ``None`` where its ages are unknown."""
        return any(first <= int(age) <= last for first, last in self.ages) if self.ages else None

    @classmethod
    def together(cls, populations: Sequence[Population]) -> Population:
        """Several populations as one; ages are known where they are known of all."""
        known = all(each.ages for each in populations)
        ages = dict.fromkeys(group for each in populations for group in each.ages) if known else ()
        return cls(" and ".join(dict.fromkeys(each.description for each in populations)), tuple(ages))

    @classmethod
    def from_json(cls, values: Any) -> Population:
        """Read what ``dataclasses.asdict`` and JSON made of it.

        Raises:
            ContractError: unknown or missing keys, or no such values.
        """
        population: Population = _strict(cls, values)
        try:
            ages = tuple((int(first), int(last)) for first, last in population.ages)
        except (TypeError, ValueError) as error:
            raise ContractError(f"contract.json: population: ages are pairs of whole years ({error})") from error
        return cls(str(population.description), ages)


@dataclass(frozen=True)
class Contract:
    """Everything a client must know beside the graph.

    Attributes:
        name: of the model.
        version: of the model, as in ``1.2.0``.
        graph_sha256: hash of the graph's bytes, the file without the appended ZIP.
        quantization: numbers the graph computes with.
        input_height: pixels.
        input_width: pixels.
        resize_filter: how an image is brought to that size.
        labels: names of the classes; ``labels[1]`` is what ``probability`` is the probability of.
        subtypes: names of the ``subtype`` output's entries; empty where the model has none.
        operating_points: thresholds by name.
        default_operating_point: the one used when none is asked for.
        typicality_limit: an input of lower typicality is refused.
        parameters: number of the network's weights.
        provenance: where the weights come from.
        intended_use: in words.
        population: whom the training data show; ``None`` in a file that does not say.
        conformal: scores at which the model does not know; ``None`` where it makes no such promise.
        calibration: what the probability refers to; ``None`` in version 1.
        lung_field: how lungs are looked for; ``None`` in a model that judges the whole picture.
        contract_version: of this format; 2 for a calibrated model, see :data:`CONTRACT_VERSION`.
    """

    name: str
    version: str
    graph_sha256: str
    quantization: Quantization
    operating_points: Mapping[str, OperatingPoint]
    default_operating_point: str
    typicality_limit: float
    parameters: int
    provenance: Provenance
    input_height: int = 224
    input_width: int = 224
    resize_filter: ResizeFilter = ResizeFilter.BILINEAR_ANTIALIASED
    labels: tuple[str, ...] = ("NORMAL", "PNEUMONIA")
    subtypes: tuple[str, ...] = ()
    intended_use: str = f"{RESEARCH_USE_ONLY} Frontal chest radiographs of children of one to five years."
    population: Population | None = None
    conformal: ConformalBand | None = None
    calibration: CalibrationRecord | None = None
    lung_field: LungField | None = None
    contract_version: int = VALIDATION_SCALE

    def __post_init__(self) -> None:
        """Refuse what no client could honour."""
        if self.default_operating_point not in self.operating_points:
            raise ContractError(f"default operating point '{self.default_operating_point}' is not among those listed")
        if not 0 <= self.typicality_limit <= 1:
            raise ContractError(f"typicality limit {self.typicality_limit!r} is not 0 to 1")
        if len(self.labels) != 2 or len(self.subtypes) not in (0, 3):
            raise ContractError("two labels and either no subtypes or three are needed")
        if not (1 <= self.input_height <= 4096 and 1 <= self.input_width <= 4096):
            raise ContractError(f"input size {self.input_width} x {self.input_height} is not between 1 and 4096 pixels")
        if self.contract_version > VALIDATION_SCALE:
            self._check_calibrated()

    def _check_calibrated(self) -> None:
        threshold = self.operating_points[self.default_operating_point].threshold
        if threshold != BALANCED:
            raise ContractError(
                f"default operating point '{self.default_operating_point}' is at {threshold!r}; from contract version "
                f"2 on it must be at {BALANCED}, so that a label never stands beside a number on the other side of it"
            )
        if self.calibration is None or self.calibration.prevalence != BALANCED:
            raise ContractError("from contract version 2 on, probabilities must be calibrated at a prevalence of 0.5")
        if self.conformal is not None and not self.conformal.lower <= BALANCED <= self.conformal.upper:
            raise ContractError(f"the band in which the model does not know must hold the default threshold {BALANCED}")

    @property
    def prevalence(self) -> float | None:
        """Share of pneumonia that probabilities refer to; ``None`` where the model does not say (version 1)."""
        return None if self.calibration is None else self.calibration.prevalence

    def operating_point(self, name: str | None = None) -> tuple[str, OperatingPoint]:
        """An operating point by name; the default one for ``None``.

        Raises:
            ContractError: the model has none of that name.
        """
        chosen = self.default_operating_point if name is None else name
        if chosen not in self.operating_points:
            raise ContractError(
                f"operating point '{chosen}': {self.name} has none of that name; "
                f"it has {', '.join(sorted(self.operating_points))}"
            )
        return chosen, self.operating_points[chosen]

    def to_json(self) -> str:
        """Indented JSON with sorted keys: the same contract gives the same text.

        What later formats added is left out where it is absent, so that a file of version 1 is what it always was.
        """
        values = _without_absent(dataclasses.asdict(self), _ADDED)
        points = values["operating_points"].items()
        values["operating_points"] = {name: _without_absent(point, _ADDED) for name, point in points}
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Read a contract.

        Raises:
            ContractError: not JSON, from a newer version, unknown or missing keys, or impossible values.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ContractError(f"contract.json is not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ContractError("contract.json is not an object")
        version = values.get("contract_version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ContractError(f"contract version {version!r} is not a number from 1 on")
        if version > CONTRACT_VERSION:
            raise ContractError(
                f"contract version {version}: this Pneumoscope reads up to {CONTRACT_VERSION}; install a newer one"
            )
        points, people, lungs = (values.get(key) for key in ("operating_points", "population", "lung_field"))
        if not isinstance(points, dict):
            raise ContractError("contract.json: operating_points is not an object")
        try:
            contract: Contract = _strict(
                cls,
                {
                    **values,
                    "operating_points": {name: operating_point_from_json(point) for name, point in points.items()},
                    "conformal": band_from_json(values.get("conformal")),
                    "calibration": record_from_json(values.get("calibration")),
                    "lung_field": None if lungs is None else _strict(LungField, lungs),
                    "provenance": _strict(Provenance, values.get("provenance")),
                    "quantization": Quantization(str(values.get("quantization"))),
                    "resize_filter": ResizeFilter(str(values.get("resize_filter"))),
                    "labels": _texts(values, "labels"),
                    "subtypes": _texts(values, "subtypes"),
                    "population": None if people is None else Population.from_json(people),
                },
            )
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise ContractError(f"contract.json: {error}") from error
        return contract


def _strict(kind: Any, values: Any) -> Any:
    """Build a dataclass; unknown keys are refused, not dropped."""
    if not isinstance(values, dict):
        raise ContractError(f"contract.json: {kind.__name__} is not an object")
    known = {entry.name for entry in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - known):
        raise ContractError(f"contract.json: unknown keys {', '.join(unknown)} in {kind.__name__}")
    hints = get_type_hints(kind)
    for key, value in values.items():
        wanted = _PLAIN.get(hints[key])
        if wanted is not None and (not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)):
            raise ContractError(f"contract.json: {kind.__name__}: {key} is {value!r}, no {hints[key].__name__}")
    return kind(**values)


_PLAIN: Mapping[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}
"""What JSON may hold for a field of a plain type."""


def _texts(values: dict[str, Any], key: str) -> tuple[str, ...]:
    texts = values.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ContractError(f"contract.json: {key} is {texts!r}, no list of texts")
    return tuple(texts)


_ADDED = ("ci95", "populations", "conformal", "calibration", "population")
"""Keys that came after the first files of version 1."""


def _without_absent(values: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys or value not in (None, (), [])}


def record_from_json(values: Any) -> CalibrationRecord | None:
    """Read what ``dataclasses.asdict`` and JSON made of a calibration record; ``None`` of ``None``.

    Raises:
        ContractError, TypeError: unknown or missing keys, or impossible values.
    """
    if values is None:
        return None
    record: CalibrationRecord = _strict(CalibrationRecord, values)
    return record


def operating_point_from_json(values: Any) -> OperatingPoint:
    """Read what ``dataclasses.asdict`` and JSON made of an operating point.

    Raises:
        ContractError, TypeError: unknown or missing keys, or impossible values.
    """
    point: OperatingPoint = _strict(OperatingPoint, values)
    populations = tuple(
        _with_intervals(_strict(PopulationRates, entry)) for entry in _entries(values, "populations", "operating point")
    )
    measured: OperatingPoint = dataclasses.replace(_with_intervals(point), populations=populations)
    return measured


def _with_intervals(rates: Any) -> Any:
    """JSON gives lists where intervals are pairs."""
    if rates.ci95 is None:
        return rates
    return dataclasses.replace(rates, ci95={name: as_interval(pair, name) for name, pair in rates.ci95.items()})


def band_from_json(values: Any) -> ConformalBand | None:
    """Read what ``dataclasses.asdict`` and JSON made of a band; ``None`` of ``None``.

    Raises:
        ContractError, TypeError: unknown or missing keys, or impossible values.
    """
    if values is None:
        return None
    band: ConformalBand = _strict(ConformalBand, values)
    populations = tuple(_strict(PopulationCoverage, entry) for entry in _entries(values, "populations", "conformal"))
    return dataclasses.replace(
        band,
        populations=tuple(
            dataclasses.replace(entry, ci95=as_interval(entry.ci95, entry.population)) for entry in populations
        ),
    )


def _entries(values: dict[str, Any], key: str, where: str) -> list[Any]:
    entries = values.get(key, [])
    if not isinstance(entries, list):
        raise ContractError(f"contract.json: {key} of {where} is not a list")
    return entries

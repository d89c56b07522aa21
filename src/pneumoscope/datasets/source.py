"""What a source of labelled radiographs is: its images with what is known of each, and where they come from.

A new data set is one class: an :class:`Origin` and a :meth:`~Source.scan`. Nothing after this module asks which data
set it works on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pneumoscope.errors import ContractError, DataError
from pneumoscope.labels import Label
from pneumoscope.model.contract import Population


class Role(StrEnum):
    """What an image is used for."""

    TRAIN = "train"
    """Weights are fitted on it."""

    GROUPED = "grouped"
    """Random validation patients."""

    ORDERED = "ordered"
    """The time-ordered slice: the lowest numbers of each counter."""


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from: what a contract and a model card say of it.

    Attributes:
        name: short, as manifests name it.
        title: as people name it.
        population: whom it shows.
        licence: under which it may be used.
        citation: that its use asks for.
    """

    name: str
    title: str
    population: Population
    licence: str
    citation: str

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Origin:
        """Read what ``dataclasses.asdict`` and JSON made of an origin.

        Raises:
            DataError: members are missing or unknown.
        """
        try:
            return cls(**{**values, "population": Population.from_json(values["population"])})
        except (KeyError, TypeError, ContractError) as error:
            raise DataError(f"origin of a data set: not as it was written ({error})") from error


@dataclass(frozen=True)
class LabelledImage:
    """One radiograph with its label, and, once a split was made, what it is used for.

    Attributes:
        path: the file.
        label: its class.
        subtype: ``NORMAL``, ``BACTERIAL`` or ``VIRAL``; ``None`` where it is unknown.
        patient: the key that no two roles share; the file's name where the patient is unknown.
        sha256: of the file's bytes, 64 hex digits; empty until it was read.
        role: what the image is used for; ``None`` before a split.
        fold: the grouped fold it falls in, from 0; ``None`` in the time-ordered slice and where not recorded.
        patient_known: whether ``patient`` names a patient. Where not, whether patients leak is unknown.
        origin: the data set; ``None`` for a folder that nothing is known about.
        shortcut: P(pneumonia) without looking at the lungs, out of fold by patient; ``None`` where not scored.
        conflicting: whether that contradicts the label; ``None`` where not scored.
        split: the split folder it was found in; ``None`` where there are none.
        order: a counter and the image's place in it, where the source numbers its images in time.
        age: of the patient in years, where known.
        view: ``PA``, ``AP`` or another, where known.
    """

    path: Path
    label: Label
    subtype: str | None
    patient: str
    sha256: str = ""
    role: Role | None = None
    fold: int | None = None
    patient_known: bool = True
    origin: Origin | None = None
    shortcut: float | None = None
    conflicting: bool | None = None
    # Not in a manifest, so that an image is the same before it was written and after.
    split: str | None = field(default=None, compare=False)
    order: tuple[str, int] | None = field(default=None, compare=False)
    age: float | None = field(default=None, compare=False)
    view: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Scan:
    """What a source holds, faults included.

    Attributes:
        images: the labelled images, in an order that is the same every time.
        problems: what is missing or contradictory, one sentence each.
        left_out: files that lie among the images and are none.
    """

    images: tuple[LabelledImage, ...]
    problems: tuple[str, ...] = ()
    left_out: tuple[Path, ...] = ()


@runtime_checkable
class Source(Protocol):
    """A data set: images with labels, patients and subtypes, and the population, licence and citation of them all."""

    @property
    def name(self) -> str:
        """What messages call the source: a folder, mostly."""

    @property
    def origin(self) -> Origin | None:
        """Population, licence and citation; ``None`` where nobody said."""

    def scan(self) -> Scan:
        """List the images; no pixel is read.

        Raises:
            DataError: there is nothing to list.
        """


def origins_of(images: Iterable[LabelledImage]) -> tuple[Origin, ...]:
    """The data sets that images come from, each once, in the order of their first image."""
    return tuple(dict.fromkeys(image.origin for image in images if image.origin is not None))

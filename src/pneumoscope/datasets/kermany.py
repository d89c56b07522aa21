"""The Kermany chest X-ray data: children, with patient, subtype and order in time in the file names.

The names carry the patient: ``person<N>_<bacteria|virus>_<image>.jpeg`` for pneumonia,
``IM-<N>-<k>.jpeg`` and ``NORMAL2-IM-<N>-<k>.jpeg`` for normals; in version 3 of the data set
``<NORMAL|BACTERIA|VIRUS>-<N>-<k>.jpeg`` for all. Source: Kermany, Zhang, Goldbaum,
Mendeley Data, doi 10.17632/rscbjbr9sj.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pneumoscope.datasets.layout import Split, scan_layout
from pneumoscope.datasets.source import LabelledImage, Origin, Scan
from pneumoscope.labels import Label, Subtype
from pneumoscope.model.contract import Population

KERMANY: Final = Origin(
    name="kermany",
    title="Chest X-Ray Images (Pneumonia), Guangzhou",
    population=Population("children of one to five years, one hospital (Guangzhou), frontal views", ages=((1, 5),)),
    licence="CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    citation=(
        "Kermany D, Zhang K, Goldbaum M. Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for "
        "Classification. Mendeley Data, V2 (2018). doi 10.17632/rscbjbr9sj.2. Described in: Kermany DS et al. "
        "Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning. Cell 172:1122 (2018). "
        "doi 10.1016/j.cell.2018.02.010."
    ),
)

_PNEUMONIA = re.compile(r"^person(?P<number>\d+)_(?P<agent>bacteria|virus)_(?P<image>\d+)$")
_NORMAL = re.compile(r"^(?P<counter>(?:NORMAL2-)?IM)-(?P<number>\d+)(?:-(?P<image>\d+))*$")
_VERSION_3 = re.compile(r"^(?P<agent>NORMAL|BACTERIA|VIRUS)-(?P<number>\d+)-(?P<image>\d+)$")
_AGENT_SUBTYPE = {"bacteria": "BACTERIAL", "virus": "VIRAL", "normal": "NORMAL"}


class PatientKey(StrEnum):
    """Which part of a file name is taken as the patient."""

    PERSON = "person"
    """The bare number, ``person12``: conservative, the same number under both agents is one patient."""

    AGENT = "agent"
    """Number and agent, ``person12_virus``: the agents are taken as separate counters."""


@dataclass(frozen=True)
class NameFacts:
    """What a file name of the Kermany data says.

    Attributes:
        counter: the counter the number belongs to (``person``, ``IM`` or ``NORMAL2-IM``), used to
            order images in time.
        number: position in that counter.
        person: conservative patient key.
        agent: patient key that keeps the two agents apart.
        subtype: ``NORMAL``, ``BACTERIAL`` or ``VIRAL``.
    """

    counter: str
    number: int
    person: str
    agent: str
    subtype: str

    def key(self, kind: PatientKey) -> str:
        """The patient key of this kind."""
        return self.person if kind is PatientKey.PERSON else self.agent


def parse_name(stem: str) -> NameFacts | None:
    """Read patient and subtype from a file name without its ending.

    Args:
        stem: for example ``person1000_virus_1681`` or ``NORMAL2-IM-0383-0001``.

    Returns:
        What the name says, or ``None`` where it is not of the Kermany form.
    """
    if found := _PNEUMONIA.match(stem):
        number, agent = int(found["number"]), found["agent"]
        person = f"person{number}"
        return NameFacts("person", number, person, f"{person}_{agent}", _AGENT_SUBTYPE[agent])
    if found := _NORMAL.match(stem):
        key = f"{found['counter']}-{int(found['number']):04d}"
        return NameFacts(found["counter"], int(found["number"]), key, key, "NORMAL")
    if found := _VERSION_3.match(stem):
        agent = found["agent"].lower()
        patient = f"patient{found['number']}"
        return NameFacts(found["agent"], int(found["number"]), patient, f"{patient}_{agent}", _AGENT_SUBTYPE[agent])
    return None


def describe(path: Path, label: Label, split: str | None = None, key: PatientKey = PatientKey.PERSON) -> LabelledImage:
    """What a file's name says; contradicting folder and name is the audit's business, not ours.

    A name of another form says nothing: the patient is unknown, and so is a pneumonia's subtype.
    """
    facts = parse_name(path.stem)
    if facts is None:
        subtype = Subtype.NORMAL.value if label is Label.NORMAL else None
        return LabelledImage(path, label, subtype, path.stem, patient_known=False, split=split)
    agrees = (facts.subtype == Subtype.NORMAL) == (label is Label.NORMAL)
    return LabelledImage(
        path,
        label,
        facts.subtype if agrees else None,
        facts.key(key),
        split=split,
        order=(facts.counter, facts.number),
        origin=KERMANY,
    )


@dataclass(frozen=True)
class KermanySource:
    """A folder of the Kermany data in the layout of :mod:`pneumoscope.datasets.layout`.

    Attributes:
        folder: the data folder.
        splits: which split folders; ``None`` for a folder that holds the two classes directly.
        key: what a patient is.
    """

    folder: Path
    splits: Split | str | Iterable[Split | str] | None = None
    key: PatientKey = PatientKey.PERSON

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def origin(self) -> Origin:
        """Children of Guangzhou."""
        return KERMANY

    def scan(self) -> Scan:
        """List the images and every fault of the layout."""
        return scan_layout(self.folder, self.splits, lambda path, label, split: describe(path, label, split, self.key))

"""Patient keys and subtypes from the file names of the Kermany chest X-ray data.

The names carry the patient: ``person<N>_<bacteria|virus>_<image>.jpeg`` for pneumonia,
``IM-<N>-<k>.jpeg`` and ``NORMAL2-IM-<N>-<k>.jpeg`` for normals. Source: Kermany, Zhang, Goldbaum,
Mendeley Data, doi 10.17632/rscbjbr9sj.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_PNEUMONIA = re.compile(r"^person(?P<number>\d+)_(?P<agent>bacteria|virus)_(?P<image>\d+)$")
_NORMAL = re.compile(r"^(?P<counter>(?:NORMAL2-)?IM)-(?P<number>\d+)(?:-(?P<image>\d+))*$")
_AGENT_SUBTYPE = {"bacteria": "BACTERIAL", "virus": "VIRAL"}


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
    return None

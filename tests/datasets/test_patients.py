from __future__ import annotations

import pytest

from pneumoscope.datasets.kermany import PatientKey, parse_name


@pytest.mark.parametrize(
    ("stem", "counter", "number", "person", "agent", "subtype"),
    [
        ("person1000_virus_1681", "person", 1000, "person1000", "person1000_virus", "VIRAL"),
        ("person7_bacteria_22", "person", 7, "person7", "person7_bacteria", "BACTERIAL"),
        ("IM-0115-0001", "IM", 115, "IM-0115", "IM-0115", "NORMAL"),
        ("NORMAL2-IM-0383-0001", "NORMAL2-IM", 383, "NORMAL2-IM-0383", "NORMAL2-IM-0383", "NORMAL"),
        ("NORMAL2-IM-0587-0001-0002", "NORMAL2-IM", 587, "NORMAL2-IM-0587", "NORMAL2-IM-0587", "NORMAL"),
    ],
)
def test_names_carry_patient_and_subtype(
    stem: str, counter: str, number: int, person: str, agent: str, subtype: str
) -> None:
    facts = parse_name(stem)
    assert facts is not None
    assert (facts.counter, facts.number, facts.subtype) == (counter, number, subtype)
    assert facts.key(PatientKey.PERSON) == person
    assert facts.key(PatientKey.AGENT) == agent


@pytest.mark.parametrize(
    "stem", ["", "scan", "person_virus_1", "person1_fungus_2", "xIM-0115-0001", "IM-0115-0001 copy"]
)
def test_other_names_are_not_guessed(stem: str) -> None:
    assert parse_name(stem) is None


def test_the_two_normal_counters_are_separate() -> None:
    first, second = parse_name("IM-0400-0001"), parse_name("NORMAL2-IM-0400-0001")
    assert first is not None
    assert second is not None
    assert first.person != second.person

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pneumoscope.datasets.kermany import describe
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.datasets.splits import assign_roles, drop_byte_duplicates, ordered_patients, roles_for_fold
from pneumoscope.errors import DataError
from pneumoscope.labels import Label


def images(patients: int, per_patient: int = 2) -> list[LabelledImage]:
    """Names only: hashes are given where they are needed."""
    result = []
    for number in range(1, patients + 1):
        for k in range(per_patient):
            agent = "virus" if number % 3 == 0 else "bacteria"
            result.append(describe(Path(f"IM-{number:04d}-{k:04d}.png"), Label.NORMAL))
            result.append(describe(Path(f"person{number}_{agent}_{k}.png"), Label.PNEUMONIA))
    return result


def hashes(found: list[LabelledImage]) -> list[str]:
    return [f"{index:064x}" for index in range(len(found))]


def test_no_patient_is_in_two_roles_and_nothing_is_lost() -> None:
    found = images(60)
    rows = assign_roles(found, folds=5, hashes=hashes(found))
    assert [row.path for row in rows] == [image.path for image in found]
    roles: dict[str, set[Role | None]] = {}
    for row in rows:
        roles.setdefault(row.patient, set()).add(row.role)
    assert all(len(kinds) == 1 for kinds in roles.values())
    assert set(Role) == {row.role for row in rows}


def test_folds_are_stratified_and_cover_everything_once() -> None:
    found = images(90)
    rows = assign_roles(found, folds=5, ordered_fraction=0.1, hashes=hashes(found))
    held_out: Counter[Path] = Counter()
    for fold in range(5):
        group = [row for row in roles_for_fold(rows, fold) if row.role is Role.GROUPED]
        held_out.update(row.path for row in group)
        viral = sum(row.subtype == "VIRAL" for row in group) / len(group)
        assert viral == pytest.approx(1 / 6, abs=0.06)
    assert set(held_out.values()) == {1}
    assert len(held_out) == sum(row.role is not Role.ORDERED for row in rows)
    with pytest.raises(DataError, match="fold 5: the manifest has folds 0 to 4"):
        roles_for_fold(rows, 5)


def test_the_same_fold_whether_chosen_before_or_after() -> None:
    found = images(40)
    assert assign_roles(found, folds=4, fold=3, hashes=hashes(found)) == roles_for_fold(
        assign_roles(found, folds=4, fold=0, hashes=hashes(found)), 3
    )


def test_seed_moves_the_folds_and_nothing_else() -> None:
    found = images(60)
    first, again, other = (assign_roles(found, seed=seed, hashes=hashes(found)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [row.role is Role.ORDERED for row in first] == [row.role is Role.ORDERED for row in other]


def test_the_ordered_slice_is_the_lowest_numbers_of_each_counter() -> None:
    found = images(50) + [describe(Path(f"NORMAL2-IM-{n:04d}-0001.png"), Label.NORMAL) for n in range(400, 410)]
    chosen = ordered_patients(found, 0.1)
    assert chosen == {f"IM-{n:04d}" for n in range(1, 6)} | {f"person{n}" for n in range(1, 6)} | {"NORMAL2-IM-0400"}
    assert ordered_patients(found, 0) == frozenset()


def test_byte_duplicates_keep_the_first_and_contradictions_are_refused() -> None:
    a, b, c = (describe(Path(f"IM-000{n}-0001.png"), Label.NORMAL) for n in (1, 2, 3))
    kept, dropped = drop_byte_duplicates([a, b, c], ["x", "y", "x"])
    assert kept == [(a, "x"), (b, "y")]
    assert dropped == [(c.path, a.path)]
    sick = describe(Path("person1_virus_1.png"), Label.PNEUMONIA)
    with pytest.raises(DataError, match="same bytes under two labels"):
        drop_byte_duplicates([a, sick], ["x", "x"])


def test_too_few_patients_and_wrong_folds_are_named() -> None:
    found = images(6)
    with pytest.raises(DataError, match="5 NORMAL patients outside the time-ordered slice are too few for 8 folds"):
        assign_roles(found, folds=8, hashes=hashes(found))
    with pytest.raises(DataError, match="fold 3: with 3 folds it must be 0 to 2"):
        assign_roles(found, folds=3, fold=3, hashes=hashes(found))


def test_a_rare_subtype_does_not_stop_the_split() -> None:
    found = [image for image in images(30) if image.subtype != "VIRAL"]
    found.append(describe(Path("person99_virus_1.png"), Label.PNEUMONIA))
    assert len(assign_roles(found, folds=5, hashes=hashes(found))) == len(found)

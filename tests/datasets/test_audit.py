from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from pneumoscope.datasets.audit.audit import audit_folder
from pneumoscope.datasets.audit.audit_page import as_json, write_audit
from pneumoscope.datasets.audit.label_errors import Predicted
from pneumoscope.errors import DataError, UsageError
from pneumoscope.evaluation.robustness import STRETCH
from pneumoscope.imaging.reader import read_image
from pneumoscope.labels import Label
from support import phantom
from support.data_helpers import Write, cloud


def test_a_sound_folder_has_no_finding(data_dir: Path) -> None:
    audit = audit_folder(data_dir)
    assert audit.leaks == ()
    assert audit.splits == ("train", "val")
    counts = {(c.split, c.label): (c.images, c.patients_person, c.subtypes) for c in audit.counts}
    assert counts["train", "PNEUMONIA"] == (12, 12, {"BACTERIAL": 8, "VIRAL": 4})
    assert counts["val", "NORMAL"] == (2, 2, {"NORMAL": 2})
    assert (audit.byte_duplicates, audit.near_duplicates, audit.unreadable) == ((), (), {})
    assert (audit.unparsed_names, audit.contradicting_names, audit.left_out) == ((), (), ())
    assert audit.sizes == {"160 x 160": 28}
    assert audit.label_errors.status == "not computed"
    assert audit.shortcut_auc["val"]["brightness"] is None  # two images a class say nothing


def test_the_bare_number_in_two_splits_is_reported_and_is_no_leak(data_dir: Path, write: Write) -> None:
    write("val/PNEUMONIA/person3_bacteria_900.png")  # train has person3_virus
    audit = audit_folder(data_dir)
    assert [p.patient for p in audit.shared_patients["person"]] == ["person3"]
    assert audit.shared_patients["person"][0].images == {"train": 1, "val": 1}
    assert audit.shared_patients["agent"] == ()
    assert audit.leaks == ()


def test_a_patient_of_one_agent_in_two_splits_is_a_leak(data_dir: Path, write: Write) -> None:
    write("val/PNEUMONIA/person3_virus_900.png")
    write("train/PNEUMONIA/person3_bacteria_901.png")
    audit = audit_folder(data_dir)
    assert audit.leaks == ("patient person3_virus in two splits: 1 in train, 1 in val",)
    assert audit.numbers_under_both_agents == {"train": 1, "val": 0}


def test_byte_duplicates_by_where_they_lie(data_dir: Path, write: Write) -> None:
    source = (data_dir / "train/NORMAL/IM-0001-0001.png").read_bytes()
    write("train/NORMAL/IM-0001-0002.png", data=source)
    audit = audit_folder(data_dir)
    assert len(audit.byte_duplicates) == 1
    assert not audit.byte_duplicates[0].across_patients
    assert audit.leaks == ()
    write("val/PNEUMONIA/person103_virus_1.png", data=source)
    audit = audit_folder(data_dir)
    group = audit.byte_duplicates[0]
    assert len(group.paths) == 3
    assert group.across_splits
    assert group.across_labels
    assert group.across_patients
    assert [leak.split(":")[0] for leak in audit.leaks] == [
        "the same bytes in two splits",
        "the same bytes under two labels",
    ]


def test_near_duplicates_are_found_once_and_byte_duplicates_are_not_among_them(data_dir: Path, write: Write) -> None:
    write("train/NORMAL/IM-0001-0002.png", data=(data_dir / "train/NORMAL/IM-0001-0001.png").read_bytes())
    write("val/NORMAL/IM-0103-0001.jpg", data=phantom.encode(cloud(5), "JPEG", quality=60))
    audit = audit_folder(data_dir)
    assert [pair.paths for pair in audit.near_duplicates] == [
        ("train/NORMAL/IM-0005-0001.png", "val/NORMAL/IM-0103-0001.jpg")
    ]
    assert audit.near_duplicates[0].across_splits
    assert not audit.near_duplicates[0].across_labels
    assert audit.leaks == ()  # alike is reported, not proven


def test_odd_files_are_listed_by_name(data_dir: Path, write: Write) -> None:
    write("train/NORMAL/IM-0020-0001.png", data=b"")
    write("train/NORMAL/IM-0021-0001.png", data=phantom.encode(cloud(9, 200)))
    write("train/NORMAL/person77_virus_1.png", data=phantom.encode(np.stack([cloud(8)] * 3, axis=2)))
    write("train/PNEUMONIA/mystery.png")
    write("train/PNEUMONIA/readme.txt", data=b"x")
    audit = audit_folder(data_dir)
    assert list(audit.unreadable) == ["train/NORMAL/IM-0020-0001.png"]
    assert audit.unreadable["train/NORMAL/IM-0020-0001.png"].startswith("empty")
    assert audit.odd_sizes == {"train/NORMAL/IM-0021-0001.png": "200 x 200"}
    assert audit.odd_modes == {"train/NORMAL/person77_virus_1.png": "RGB"}
    assert audit.contradicting_names == ("train/NORMAL/person77_virus_1.png",)
    assert audit.unparsed_names == ("train/PNEUMONIA/mystery.png",)
    assert audit.left_out == ("train/PNEUMONIA/readme.txt",)
    assert audit.images == 32


def test_a_planted_shortcut_is_seen(data_dir: Path, write: Write) -> None:
    for number in range(1, 13):
        pixels = cloud(number).copy()
        # Not even: bars of one grey are cut away when the file is read.
        pixels[:9] = np.random.default_rng(number).integers(200, 256, (9, pixels.shape[1]))
        write(f"train/NORMAL/IM-{number:04d}-0001.png", data=phantom.encode(pixels))
    audit = audit_folder(data_dir)
    assert audit.shortcut_auc["train"]["top_border"] == 0.0
    assert any(sign.startswith("train: top_border alone") for sign in audit.shortcut_signs)
    assert "train/NORMAL/" in audit.extremes["top_border"]["highest"][0]
    assert audit.statistics["train"]["NORMAL"]["top_border"].median == pytest.approx(225, abs=15)


def test_classes_without_splits_and_a_missing_class(data_dir: Path) -> None:
    direct = audit_folder(data_dir / "train")
    assert direct.splits == ("all",)
    (data_dir / "val" / "NORMAL").rename(data_dir / "val" / "HEALTHY")
    audit = audit_folder(data_dir)
    assert audit.layout_problems == (
        "val: the class folder NORMAL is missing (it holds HEALTHY/, PNEUMONIA/)",
        "val: the folder HEALTHY is no class known here (NORMAL, PNEUMONIA); move it elsewhere",
    )
    with pytest.raises(DataError, match="no image found"):
        audit_folder(data_dir.parent)


def test_labels_are_screened_with_predictions(data_dir: Path) -> None:
    names = [f"train/NORMAL/IM-{n:04d}-0001.png" for n in range(1, 13)]
    sick = sorted(f"train/PNEUMONIA/{path.name}" for path in (data_dir / "train/PNEUMONIA").iterdir())
    rows = [Predicted(name, Label.NORMAL, 0.05) for name in names[1:]]
    rows += [Predicted(str(data_dir / names[0]), Label.NORMAL, 0.97), Predicted("gone.png", Label.NORMAL, 0.5)]
    rows += [Predicted(name, Label.PNEUMONIA, 0.9) for name in sick[:-1]] + [Predicted(sick[-1], Label.PNEUMONIA, None)]
    errors = audit_folder(data_dir, predictions=rows).label_errors
    assert errors.status == "computed"
    assert [(s.path, s.label, s.probability) for s in errors.suspects] == [(names[0], "NORMAL", 0.97)]
    assert (errors.predicted, errors.without_prediction, errors.unmatched_predictions) == (23, 5, 1)
    with pytest.raises(DataError, match="none of the 1 predictions is for an image"):
        audit_folder(data_dir, predictions=[Predicted("gone.png", Label.NORMAL, 0.5)])


def test_the_page_and_the_json_hold_the_findings_and_no_path_of_this_machine(
    data_dir: Path, write: Write, tmp_path: Path
) -> None:
    source = (data_dir / "train/NORMAL/IM-0001-0001.png").read_bytes()
    write("val/NORMAL/IM-0101-0002.png", data=source)
    write("train/PNEUMONIA/<b>odd&.png", data=b"")
    (data_dir / "val" / "PNEUMONIA").rename(data_dir / "val" / "SICK")
    audit = audit_folder(data_dir)
    record, page = write_audit(audit, data_dir, tmp_path / "out")
    found = json.loads(record.read_text("utf-8"))
    assert found == json.loads(json.dumps(as_json(audit)))
    assert found["notice"] == "Research use only. Not a medical device."
    assert found["byte_duplicates"][0]["paths"] == ["train/NORMAL/IM-0001-0001.png", "val/NORMAL/IM-0101-0002.png"]
    assert set(found) == {"notice", "pneumoscope"} | {field.name for field in dataclasses.fields(audit)}
    html = page.read_text("utf-8")
    assert "Research use only. Not a medical device." in html
    assert "Leaks that would spoil an evaluation: 1." in html
    assert "&lt;b&gt;odd&amp;.png" in html
    assert "<b>odd" not in html
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', html)
    assert len(sources) > 10
    assert all(source.startswith("data:image/jpeg;base64,/9j/") for source in sources)
    assert str(tmp_path) not in html + record.read_text("utf-8")


def test_an_unwritable_place_is_named(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used as output folder"):
        write_audit(audit_folder(data_dir), data_dir, tmp_path / "file")


def test_the_committed_audit_is_of_the_training_data_and_finds_its_24_groups(radiographs: Path) -> None:
    """Against a count that shares no code with the audit."""
    data = radiographs / "chest_xray_224"
    groups: defaultdict[str, set[str]] = defaultdict(set)
    classes: Counter[tuple[str, str]] = Counter()
    for file in data.rglob("*.jpeg"):
        place = file.relative_to(data)
        groups[hashlib.sha256(file.read_bytes()).hexdigest()].add(place.as_posix())
        classes[place.parts[0], place.parts[1]] += 1
    committed = json.loads((Path(__file__).parents[2] / "reports" / "data-audit.json").read_text("utf-8"))
    found = {group["sha256"]: set(group["paths"]) for group in committed["byte_duplicates"]}
    assert found == {digest: paths for digest, paths in groups.items() if len(paths) > 1}
    assert len(found) == 24
    assert {(c["split"], c["label"]): c["images"] for c in committed["counts"]} == classes
    # Patient keys are reported by both readings, and the name that none fits is not guessed at.
    numbers = {re.search(r"\d+", Path(p).name)[0] for paths in groups.values() for p in paths if "person" in p}  # type: ignore[index]
    pneumonia = [c for c in committed["counts"] if c["label"] == "PNEUMONIA"]
    assert sum(c["patients_person"] for c in pneumonia) == pytest.approx(
        len(numbers), abs=len(committed["unparsed_names"])
    )
    assert committed["unparsed_names"] == ["train/PNEUMONIA/person447_virus_921_1.jpeg"]
    assert committed["numbers_under_both_agents"]["train"] == 808


def test_the_committed_audit_of_native_files_has_the_aspect_ratio_that_squashing_hides(radiographs: Path) -> None:
    """Against the share of pairs in which the pneumonia is the wider image."""
    ratio: defaultdict[str, list[float]] = defaultdict(list)
    for file in (radiographs / "native" / "train").rglob("*.jpeg"):
        image = read_image(file)  # less the bars that reading cuts away, as the audit sees it
        ratio[file.parent.name].append(image.width / image.height)
    sick, well = np.array(ratio["PNEUMONIA"])[:, None], np.array(ratio["NORMAL"])
    expected = (sick > well).mean() + (sick == well).mean() / 2
    committed = json.loads((Path(__file__).parents[2] / "reports" / "data-audit-native.json").read_text("utf-8"))
    assert committed["shortcut_auc"]["train"]["aspect_ratio"] == pytest.approx(expected, abs=1e-4)
    assert expected > 0.8
    assert sick.mean() / well.mean() == pytest.approx(STRETCH**2, rel=0.03)  # what the shortcut check undoes

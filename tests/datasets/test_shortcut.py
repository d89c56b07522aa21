from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import cli
from pneumoscope.datasets.audit.audit import audit_folder
from pneumoscope.datasets.audit.audit_page import render_page
from pneumoscope.datasets.audit.shortcut import Surroundings, score_surroundings, surroundings, with_scores
from pneumoscope.datasets.manifest import read_manifest
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import DataError
from pneumoscope.labels import Label
from pneumoscope.statistics.shortcut import SIDE
from support import phantom
from support.data_helpers import Write

BOX = (0.2, 0.2, 0.8, 0.8)


def images(count: int = 200) -> list[LabelledImage]:
    return [
        LabelledImage(
            Path(f"{row}.png"),
            Label.PNEUMONIA if row % 2 else Label.NORMAL,
            "BACTERIAL" if row % 2 else "NORMAL",
            f"patient{row}",
            sha256=f"{row:064x}",
        )
        for row in range(count)
    ]


def around(image: LabelledImage, row: int) -> Surroundings:
    """Noise, and a first cell that tells the label of all but every tenth image."""
    features = np.random.default_rng(row).normal(size=SIDE * SIDE).astype(np.float32)
    bright = (image.label is Label.PNEUMONIA) != (row % 20 in (0, 1))
    features[0] = 3 if bright else -3
    features[20:] = np.nan
    return Surroundings(features, BOX)


def test_images_that_the_surroundings_contradict_are_named_and_spread_over_the_folds() -> None:
    rows = images()
    found = score_surroundings(rows, [around(image, row) for row, image in enumerate(rows)])
    against = {image.path for image, flag in zip(found.images, found.conflicting, strict=True) if flag}
    assert {Path(f"{row}.png") for row in range(200) if row % 20 in (0, 1)} <= against
    assert 0.8 < found.summary.auc < 1
    assert found.box_auc == 0.5  # every box is the same
    split = assign_roles(with_scores(rows, found), folds=4, ordered_fraction=0)
    per_fold = [sum(bool(image.conflicting) for image in split if image.fold == fold) for fold in range(4)]
    assert sum(per_fold) == len(against)
    assert max(per_fold) - min(per_fold) <= 3


def test_images_without_lungs_have_no_score() -> None:
    rows = images()
    seen: list[Surroundings | None] = [around(image, row) for row, image in enumerate(rows)]
    seen[3], seen[4] = Surroundings(None, None), None
    found = score_surroundings(rows, seen)
    assert [image.path.stem for image in found.without_lungs] == ["3"]
    assert {"3", "4"}.isdisjoint(image.path.stem for image in found.images)
    assert [image.shortcut is None for image in with_scores(rows, found)[2:6]] == [False, True, True, False]


def test_a_folder_of_one_class_or_without_lungs_is_told_so() -> None:
    rows = [dataclasses.replace(image, label=Label.NORMAL) for image in images()]
    with pytest.raises(DataError, match="PNEUMONIA has 0 of 0"):
        score_surroundings(rows, [around(image, row) for row, image in enumerate(rows)])
    with pytest.raises(DataError, match="no lungs were found in any of 200 images"):
        score_surroundings(rows, [Surroundings(None, None)] * 200)


def test_a_drawn_chest_has_lungs_and_a_blank_picture_has_none() -> None:
    chest = surroundings(phantom.chest_phantom())
    assert chest.features is not None
    assert chest.box is not None
    assert np.isnan(chest.features).any()
    assert surroundings(np.full((224, 224), 90, np.uint8)).features is None


def test_the_audit_of_a_small_folder_says_why_there_is_no_score(data_dir: Path) -> None:
    audit = audit_folder(data_dir)
    assert audit.without_lungs.status == "not computed"
    assert "Not computed" in render_page(audit, data_dir)


def test_split_marks_conflicting_images_in_the_manifest(tmp_path: Path, write: Write) -> None:
    """Chests of two classes, pneumonias with a bright corner; two of each class are marked as the other."""
    for row in range(40):
        for label in ("NORMAL", "PNEUMONIA"):
            pixels = phantom.chest_phantom(seed=row + 100 * (label == "NORMAL")).copy()
            if (label == "PNEUMONIA") != (row < 2):
                pixels[:30, :30] = 255
            write(f"{label}/{row}.png", data=phantom.encode(pixels))
    out = tmp_path / "manifest.csv"
    result = CliRunner().invoke(
        cli, ["data", "split", str(tmp_path / "data"), "--out", str(out), "--folds", "2"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    rows = read_manifest(out, tmp_path / "data")
    marked = {f"{row.label}/{row.path.stem}" for row in rows if row.conflicting}
    assert marked >= {"NORMAL/0", "NORMAL/1", "PNEUMONIA/0", "PNEUMONIA/1"}
    assert len(marked) <= 8  # of 80; noise may add some
    assert all(row.shortcut is not None for row in rows)
    assert f"conflicting images: {len(marked)}" in result.output


def test_the_score_finds_the_framing_of_real_radiographs(radiographs: Path) -> None:
    """A few hundred of the public data set: the published shortcut shows in each sample of it."""
    from pneumoscope.datasets.audit.shortcut import score_folder
    from pneumoscope.datasets.registry import find_images

    chosen = find_images(radiographs / "chest_xray_224", "train")[::13]
    found = score_folder(chosen)
    assert found.summary.auc_ci95 is not None
    assert found.summary.auc_ci95[0] > 0.85
    assert found.without_lungs == ()


def test_the_shipped_score_is_scikit_learns_and_known_images_have_theirs(tmp_path: Path) -> None:
    from pneumoscope.datasets.audit.reference import ShortcutReference
    from pneumoscope.statistics.shortcut import fit_boosting

    random = np.random.default_rng(0)
    features = random.normal(size=(300, 12)).astype(np.float32)
    features[random.random(features.shape) < 0.2] = np.nan
    positive = np.nan_to_num(features[:, 0]) + np.nan_to_num(features[:, 3]) > 0
    fitted = fit_boosting(features, positive)
    hashes = [f"{row:016x}" + "0" * 48 for row in range(300)][::-1]
    made = ShortcutReference.of(fitted, limit=0.5, hashes=hashes, scores=np.linspace(0, 1, 300))
    made.save(tmp_path / "reference.npz")
    read = ShortcutReference.load(tmp_path / "reference.npz")
    assert np.allclose(read.scores(features), fitted.scores(features), atol=1e-12)
    assert read.out_of_fold(hashes[0]) == 0.0
    assert read.out_of_fold(hashes[-1]) == 1.0
    assert read.out_of_fold("f" * 64) is None
    assert read.out_of_fold(None) is None


def test_real_training_images_have_their_out_of_fold_scores(radiographs: Path) -> None:
    """Contradicting images must stay so: a score fitted on the image itself would repeat its label."""
    from pneumoscope.datasets.audit.reference import reference_scores, shipped_reference
    from pneumoscope.datasets.registry import find_images
    from pneumoscope.files import sha256_of

    chosen = find_images(radiographs / "chest_xray_224", "train")[::7]
    scores = reference_scores(chosen, [sha256_of(image.path) for image in chosen])
    assert np.isfinite(scores).all()
    ill = np.array([image.label is Label.PNEUMONIA for image in chosen])
    against = (scores >= shipped_reference().limit) != ill
    assert 0.01 < against.mean() < 0.1

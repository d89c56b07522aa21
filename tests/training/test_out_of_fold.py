"""Out-of-fold scores: the file gives back what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pneumoscope.errors import DataError
from pneumoscope.training.out_of_fold import OutOfFold, read_out_of_fold, write_out_of_fold


@pytest.fixture
def scores() -> OutOfFold:
    rng = np.random.default_rng(0)
    positive = np.concatenate([rng.random(800) < 0.7, rng.random(200) < 0.2])
    shortcut = np.where(positive, rng.beta(5, 1, 1000), rng.beta(1, 5, 1000))
    shortcut[800:] = np.nan
    return OutOfFold(
        paths=tuple(f"train/{number}.jpeg" for number in range(1000)),
        sources=("kermany",) * 800 + ("nih",) * 200,
        positive=positive,
        subtypes=tuple("" if sick else "NORMAL" for sick in positive),
        patients=tuple(f"p{number}" for number in range(1000)),
        folds=np.arange(1000) % 3,
        logits=rng.normal(size=1000),
        shortcut=shortcut,
    )


def test_the_file_gives_back_what_was_written(scores: OutOfFold, tmp_path: Path) -> None:
    file = tmp_path / "out-of-fold.csv"
    write_out_of_fold(file, scores)
    read = read_out_of_fold(file)
    assert (read.paths, read.sources, read.subtypes, read.patients) == (
        scores.paths,
        scores.sources,
        scores.subtypes,
        scores.patients,
    )
    for name in ("positive", "folds"):
        np.testing.assert_array_equal(getattr(read, name), getattr(scores, name))
    for name in ("logits", "shortcut"):
        np.testing.assert_allclose(getattr(read, name), getattr(scores, name), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na,NORMAL\n", "the columns source, subtype"),
        ("path,source,label,subtype,patient,fold,logit,shortcut\n", "holds no scores"),
        ("path,source,label,subtype,patient,fold,logit,shortcut\na,,SICK,,p,0,1.0,\n", "cannot be read"),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_out_of_fold(file)

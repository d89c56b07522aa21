"""Masks are checked before anything is trained on them: what cannot be used is named, counted and left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.cli.main import cli
from pneumoscope.errors import DataError, TrainingError
from pneumoscope.training.lungs.fit import LungFieldRun, train_lung_field
from pneumoscope.training.lungs.masks import STORED_SIDE, dice, hold_out, read_masked_pictures
from pneumoscope.training.lungs.recipe import LungFieldRecipe
from support.tiny_data import write_tiny_data

RECIPE = LungFieldRecipe(steps=3, batch_size=4, learning_rate=1e-3, warmup=0.1, weight_decay=1e-3, held_out=6)


def oval(side: int = 96) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:side, :side] / side
    inside = [((columns - c) / 0.17) ** 2 + ((rows - 0.46) / 0.33) ** 2 < 1 for c in (0.29, 0.71)]
    return np.where(inside[0] | inside[1], 255, 0).astype(np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Thirty pictures with masks and thirty without, 96 x 96 pixels."""
    folder = write_tiny_data(tmp_path / "chests", patients=30, size=96)
    (folder / "lung_masks" / "train").mkdir(parents=True)
    for picture in sorted((folder / "train" / "NORMAL").iterdir()):
        Image.fromarray(oval()).save(folder / "lung_masks" / "train" / f"{picture.stem}.png")
    return folder


def masks_of(data: Path) -> list[Path]:
    return sorted((data / "lung_masks" / "train").glob("*.png"))


def test_masks_for_some_pictures_are_read_and_the_others_counted(data: Path) -> None:
    pictures = read_masked_pictures(data)
    assert pictures.pixels.shape == pictures.masks.shape == (30, STORED_SIDE, STORED_SIDE)
    assert pictures.unmasked == 30
    assert pictures.faults == ()
    assert 0.2 < float((pictures.masks > 127).mean()) < 0.5


def test_masks_may_stand_beside_the_data_folder(data: Path) -> None:
    (data / "lung_masks").rename(data.parent / "lung_masks")
    assert len(read_masked_pictures(data).names) == 30


def test_masks_of_one_bit_are_read(data: Path) -> None:
    first = masks_of(data)[0]
    Image.fromarray(oval() > 0).save(first)
    assert not read_masked_pictures(data).faults


def test_bars_of_the_picture_stay_since_masks_are_drawn_on_them(data: Path) -> None:
    picture = next((data / "train" / "NORMAL").glob(f"{masks_of(data)[0].stem}.*"))
    with Image.open(picture) as image:
        grey = np.array(image.convert("L"))
    grey[:, :12] = 0
    Image.fromarray(grey).save(picture)
    assert not read_masked_pictures(data).faults


def test_no_masks(data: Path, tmp_path: Path) -> None:
    for mask in masks_of(data):
        mask.unlink()
    with pytest.raises(DataError, match="holds no masks"):
        read_masked_pictures(data)
    (data / "lung_masks" / "train").rmdir()
    (data / "lung_masks").rmdir()
    with pytest.raises(DataError, match="no folder lung_masks in it or beside it"):
        read_masked_pictures(data)


def test_faulty_masks_are_named_and_left_out(data: Path) -> None:
    masks = masks_of(data)
    Image.fromarray(oval(48)).save(masks[0])
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(masks[1])
    masks[2].write_bytes(b"no picture")
    masks[3].rename(masks[3].with_name("nobody.png"))
    pictures = read_masked_pictures(data)
    assert len(pictures.names) == 26
    said = "\n".join(pictures.faults)
    assert f"{masks[0].name}: 48 x 48 pixels and its picture 96 x 96 pixels" in said
    assert f"{masks[1].name}: 0% of it is lung" in said
    assert f"{masks[2].name}: cannot be read" in said
    assert "nobody.png: no picture of that name" in said
    assert pictures.unmasked == 31


def test_a_mask_that_does_not_fit_its_picture_is_named(data: Path) -> None:
    wrong = masks_of(data)[5]
    Image.fromarray(np.roll(oval(), 40, axis=0)).save(wrong)

    def judge(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.repeat(oval()[None].astype(np.float32) / 255, len(pixels), 0)

    pictures = read_masked_pictures(data, judge)
    assert len(pictures.names) == 29
    (fault,) = pictures.faults
    assert wrong.stem in fault and "does not fit its picture" in fault


def test_too_few_masks(data: Path) -> None:
    for mask in masks_of(data)[10:]:
        Image.fromarray(oval(48)).save(mask)
    with pytest.raises(DataError, match=r"10 of 30 masks can be used, 20 are needed\n- .*48 x 48"):
        read_masked_pictures(data)


def test_patients_are_held_out_whole(data: Path) -> None:
    pictures = read_masked_pictures(data)
    train, held = hold_out(pictures, 6, seed=1)
    assert len(held) == 6 and not set(train) & set(held)
    patients = np.array(pictures.patients)
    assert not set(patients[train]) & set(patients[held])
    assert hold_out(pictures, 6, seed=1)[1].tolist() == held.tolist()


def test_dice() -> None:
    a = np.zeros((2, 4, 4), bool)
    b = a.copy()
    a[0, :2], b[0, 1:3] = True, True
    np.testing.assert_allclose(dice(a, b), [0.5, 1.0])


@pytest.mark.slow
def test_a_run_resumes_to_the_result_of_an_unbroken_one(data: Path, tmp_path: Path) -> None:
    import pneumoscope.training.lungs.fit as fit

    whole = train_lung_field(data, RECIPE, tmp_path / "whole")
    assert whole.report.exists() and whole.network.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "STEPS_AN_EPOCH", 2)
        reference = train_lung_field(data, RECIPE, tmp_path / "reference")
        broken = tmp_path / "broken"

        def stop(*args: object) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as inner, pytest.raises(KeyboardInterrupt):
            inner.setattr("tqdm.tqdm.write", lambda text, **_: stop() if text.startswith("step 2/") else None)
            train_lung_field(data, RECIPE, broken)
        with pytest.raises(TrainingError, match="--resume"):
            train_lung_field(data, RECIPE, broken)
        with pytest.raises(TrainingError, match="another seed"):
            train_lung_field(data, RECIPE, broken, seed=3, resume=True)
        resumed = train_lung_field(data, RECIPE, broken, resume=True)
    first, second = (_weights(run) for run in (reference, resumed))
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def _weights(run: LungFieldRun) -> list[NDArray[np.float32]]:
    import keras

    weights: list[NDArray[np.float32]] = keras.models.load_model(run.network, compile=False).get_weights()
    return weights


def test_the_command_names_what_is_missing(data: Path, tmp_path: Path) -> None:
    for mask in masks_of(data):
        mask.unlink()
    arguments = ["train", "--recipe", "lung-field", "--data", str(data), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code != 0
    assert "holds no masks" in f"{result.exception} {result.output}"
    assert not (tmp_path / "run").exists()

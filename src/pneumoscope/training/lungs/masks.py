"""Lung masks beside their pictures: read, checked and counted before anything is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pneumoscope.datasets.kermany import parse_name
from pneumoscope.errors import DataError, InputError
from pneumoscope.imaging import raster
from pneumoscope.imaging.formats import ImageFormat, image_format
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.imaging.search import IMAGE_ENDINGS

MASK_FOLDER = "lung_masks"
STORED_SIDE = 144
"""Pixels of the pictures and masks in memory: half as many again as the network sees, so that a crop is no blur."""

LEAST_LUNG = 0.02
"""Share of the picture that a mask must cover."""

LEAST_AGREEMENT = 0.7
"""Dice with the shipped network's mask, below which a mask is taken to belong to another picture."""

FEWEST = 20
"""Usable masks that training needs."""

Judge = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""``uint8 [N, S, S]`` pictures to lung probabilities ``float32 [N, s, s]``."""


@dataclass(frozen=True, eq=False)
class MaskedPictures:
    """Pictures with the lungs that people drew.

    Attributes:
        pixels: ``uint8 [N, 144, 144]`` grey levels.
        masks: ``uint8 [N, 144, 144]``, 255 lung, between along edges.
        names: file names without endings.
        patients: patient key of each; its name where that says none.
        faults: masks that were left out, one sentence each.
        unmasked: pictures without a mask.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    names: tuple[str, ...]
    patients: tuple[str, ...]
    faults: tuple[str, ...]
    unmasked: int

    def take(self, chosen: Sequence[int] | NDArray[np.intp]) -> MaskedPictures:
        """Some of them, in the order asked for."""
        return MaskedPictures(
            self.pixels[chosen],
            self.masks[chosen],
            tuple(self.names[i] for i in chosen),
            tuple(self.patients[i] for i in chosen),
            self.faults,
            self.unmasked,
        )


def read_masked_pictures(data_dir: Path, judge: Judge | None = None) -> MaskedPictures:
    """Read every mask that has a picture, and say what is wrong with the others.

    Masks are ``lung_masks/**/NAME.png`` inside the data folder or beside it, white where lung is; pictures are the data
    folder's ``train`` and ``val`` files of the same names without their endings.

    Args:
        data_dir: in the layout of :mod:`pneumoscope.datasets.layout`.
        judge: a trained lung-field network; masks that it contradicts are left out. ``None`` leaves that unchecked.

    Raises:
        DataError: no masks, or too few that can be used; all faults are named and counted.
    """
    folder = _mask_folder(data_dir)
    masks = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".png")
    pictures = _pictures(data_dir)
    if not masks:
        raise DataError(f"{folder}: holds no masks; PNG files named as their pictures are needed")
    read = _read_pairs(masks, pictures)
    faults = [entry for entry in read if isinstance(entry, str)]
    pairs = [entry for entry in read if not isinstance(entry, str)]
    if pairs and judge is not None:
        pairs, contradicted = _agreeing(pairs, judge)
        faults += contradicted
    if len(pairs) < FEWEST:
        listed = "".join(f"\n- {fault}" for fault in faults[:20])
        raise DataError(f"{folder}: {len(pairs)} of {len(masks)} masks can be used, {FEWEST} are needed{listed}")
    names = tuple(pair.name for pair in pairs)
    return MaskedPictures(
        np.stack([pair.pixels for pair in pairs]),
        np.stack([pair.mask for pair in pairs]),
        names,
        tuple(_patient(name) for name in names),
        tuple(faults),
        len(set(pictures) - {mask.stem for mask in masks}),
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    name: str
    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def _mask_folder(data_dir: Path) -> Path:
    for folder in (data_dir / MASK_FOLDER, data_dir.parent / MASK_FOLDER):
        if folder.is_dir():
            return folder
    raise DataError(f"{data_dir}: no folder {MASK_FOLDER} in it or beside it; lung fields are learnt from masks")


def _pictures(data_dir: Path) -> dict[str, Path]:
    """Pictures by name; a folder in the layout may stand beside the masks as ``chest_xray*``."""
    inner = sorted(data_dir.glob("chest_xray*/train"))
    root = inner[0].parent if inner and not (data_dir / "train").is_dir() else data_dir
    files = [
        path
        for split in ("train", "val")
        for path in sorted((root / split).rglob("*"))
        if path.suffix.lower() in IMAGE_ENDINGS
    ]
    if not files:
        raise DataError(f"{root}: no pictures in train or val; give a folder that holds train/NORMAL and so on")
    return {path.stem: path for path in files}


def _read_pairs(masks: Sequence[Path], pictures: dict[str, Path]) -> list[_Pair | str]:
    with ThreadPoolExecutor(2) as pool:
        reads = pool.map(lambda mask: _read_pair(mask, pictures.get(mask.stem)), masks)
        return list(tqdm(reads, total=len(masks), desc="Reading masks", unit="mask"))


def _read_pair(mask_file: Path, picture_file: Path | None) -> _Pair | str:
    """One pair, or what is wrong with it."""
    if picture_file is None:
        return f"{mask_file.name}: no picture of that name"
    try:
        pixels = _as_drawn_on(picture_file)
        with Image.open(mask_file) as image:
            mask = np.asarray(image.convert("L"))
    except (InputError, OSError, ValueError) as error:
        return f"{mask_file.name}: cannot be read ({error})"
    if mask.shape != pixels.shape:
        sizes = (f"{shape[1]} x {shape[0]} pixels" for shape in (mask.shape, pixels.shape))
        return f"{mask_file.name}: {' and its picture '.join(sizes)}; draw it on the picture as it is"
    lung = np.where(mask > int(mask.max()) / 2, 255, 0).astype(np.uint8)
    if not LEAST_LUNG <= float((lung > 0).mean()) < 1 - LEAST_LUNG:
        return f"{mask_file.name}: {float((lung > 0).mean()):.0%} of it is lung"
    small = shrink(pixels, width=STORED_SIDE, height=STORED_SIDE)
    return _Pair(mask_file.stem, small, shrink(lung, width=STORED_SIDE, height=STORED_SIDE))


def _as_drawn_on(picture_file: Path) -> NDArray[np.uint8]:
    """The picture with its bars, which :func:`read_image` cuts away: masks are drawn on the file as it is."""
    data = picture_file.read_bytes()
    kind = image_format(data)
    if kind is None or kind is ImageFormat.DICOM:
        return read_image(picture_file, target=None).pixels
    return raster.decode(data, kind, target=None, name=str(picture_file)).pixels


def _agreeing(pairs: Sequence[_Pair], judge: Judge) -> tuple[list[_Pair], list[str]]:
    found = judge(np.stack([pair.pixels for pair in pairs]))
    side = found.shape[1]
    drawn = np.stack([shrink(pair.mask, width=side, height=side) for pair in pairs])
    scores = dice(found > 0.5, drawn > 127)
    kept = [pair for pair, score in zip(pairs, scores, strict=True) if score >= LEAST_AGREEMENT]
    faults = [
        f"{pair.name}: the mask does not fit its picture (Dice {score:.2f} with the network's own)"
        for pair, score in zip(pairs, scores, strict=True)
        if score < LEAST_AGREEMENT
    ]
    return kept, faults


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice's coefficient of ``bool [N, h, w]`` masks: ``float64 [N]``, 0 to 1, two empty masks 1."""
    both, sizes = (a & b).sum((1, 2)), a.sum((1, 2)) + b.sum((1, 2))
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def _patient(name: str) -> str:
    facts = parse_name(name)
    return name if facts is None else facts.person


def hold_out(pictures: MaskedPictures, count: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices to train on and indices held out: whole patients, drawn until ``count`` pictures are held out."""
    patients = np.array(pictures.patients)
    order = np.unique(patients)
    np.random.default_rng(seed).shuffle(order)
    held: list[int] = []
    for patient in order:
        if len(held) >= count:
            break
        held += np.flatnonzero(patients == patient).tolist()
    chosen = np.array(sorted(held), np.intp)
    return np.setdiff1d(np.arange(len(patients)), chosen), chosen

"""Every test of a model's explanations on a subset of images; the sources are named where each test is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pneumoscope.errors import ModelError
from pneumoscope.evaluation.explanations.agreement import lung_share, rank_correlation, shift_stability
from pneumoscope.evaluation.explanations.perturbation import (
    Curves,
    Heat,
    Perturbation,
    Pixels,
    area,
    centre_blob,
    random_heat,
    upsampled,
)
from pneumoscope.evaluation.explanations.randomisation import cascade
from pneumoscope.evaluation.explanations.summary import (
    MODEL_HEATMAPS,
    Check,
    ExplanationScores,
    Heatmap,
    RandomisedScores,
)
from pneumoscope.explain.cams import grad_cam, grad_cam_plus_plus, weighted_maps
from pneumoscope.explain.graph_surgery import Evidence, Flatbuffer, OpenedGraph
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.model.classifier import Model
from pneumoscope.model.lungs import LUNG, lung_mask

IMAGES: Final = 100
"""Images that the tests are made on, at most: some 80 inferences each."""

Cams = Mapping[Heatmap, Callable[[Evidence], Heat]]

_CAMS: Final[Cams] = {Heatmap.GRAD_CAM: grad_cam, Heatmap.GRAD_CAM_PLUS_PLUS: grad_cam_plus_plus}

# A model with random weights that leans to normal has a blank Grad-CAM; before its negative part is cut off there is
# always something to compare. Grad-CAM++ has no negative part.
_COMPARED: Final[Cams] = {Heatmap.GRAD_CAM: weighted_maps, Heatmap.GRAD_CAM_PLUS_PLUS: grad_cam_plus_plus}

Explain = Callable[[Pixels], dict[Heatmap, Heat]]
"""Gives the model's heatmaps of ``uint8 [H, W]`` pixels at its input size."""


@dataclass(frozen=True, eq=False)
class _Examined:
    """What one image gives."""

    pixels: Pixels
    lungs: NDArray[np.bool_]
    compared: dict[Heatmap, Heat]
    scores: dict[Heatmap, dict[Check, float]]
    curves: dict[Heatmap, Curves]


def examine(
    model: Model,
    paths: Sequence[str],
    patients: Sequence[str | None] | None = None,
    *,
    images: int = IMAGES,
    seed: int = 0,
    jobs: int | None = None,
) -> ExplanationScores:
    """Check the heatmaps of images that the model called pneumonia, with a progress bar on standard error.

    Args:
        model: whose explanations.
        paths: files that it called pneumonia; of a normal call a heatmap explains nothing.
        patients: their patient keys, in the same order.
        images: how many to draw from them at most.
        seed: of the drawing, the random maps and the shuffled weights.
        jobs: threads; as many as there are processors by default.

    Raises:
        InputError: a file went away since it was judged.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(len(paths))[:images])
    chosen = [paths[index] for index in drawn]
    undefined: dict[str, str] = {}
    if not chosen:
        undefined["all"] = "no image was called pneumonia"
    flatbuffer = _opened(model, chosen[0], undefined) if chosen else None
    explain = _from_graph(flatbuffer.packed(), _CAMS) if flatbuffer else _from_model(model)
    compared = _from_graph(flatbuffer.packed(), _COMPARED) if flatbuffer else explain

    def one(index: int) -> _Examined:
        return _examine_one(model, explain, compared, paths[index], [seed, index])

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        examined = pool.map(one, drawn.tolist())
        results = list(tqdm(examined, total=len(chosen), desc="Testing explanations", unit="image"))
        randomised = _randomised(flatbuffer, results, seed, pool, undefined) if chosen else ()
    if len(chosen) == 1:
        undefined["other_image"] = "there is one image only"
    return ExplanationScores(
        paths=tuple(chosen),
        patients=None if patients is None else tuple(patients[index] for index in drawn),
        of=len(paths),
        chosen=f"at random (seed {seed}) from the images that the model called PNEUMONIA",
        scores=_columns([result.scores for result in results]),
        curves={
            name: {
                Check.INSERTION: np.stack([result.curves[name].insertion for result in results]),
                Check.DELETION: np.stack([result.curves[name].deletion for result in results]),
            }
            for name in (results[0].curves if results else ())
        },
        other_image=_other_image(results) if len(chosen) > 1 else {},
        randomised=randomised,
        lung_area=float(np.mean([result.lungs.mean() for result in results])) if results else None,
        undefined=undefined,
    )


def _read(model: Model, path: str) -> Pixels:
    contract = model.contract
    image = read_image(Path(path), target=contract.input_width)
    return shrink(image.pixels, width=contract.input_width, height=contract.input_height)


def _opened(model: Model, path: str, undefined: dict[str, str]) -> Flatbuffer | None:
    """The graph taken apart and tried on one image, or ``None`` and the reason."""
    try:
        flatbuffer = Flatbuffer(model.graph)
        OpenedGraph(flatbuffer.packed())(_read(model, path))
        return flatbuffer
    except ModelError as error:
        undefined[Heatmap.GRAD_CAM_PLUS_PLUS.value] = undefined["randomisation"] = str(error)
        return None


def _from_graph(graph: bytes, cams: Cams) -> Explain:
    opened = OpenedGraph(graph)

    def explain(pixels: Pixels) -> dict[Heatmap, Heat]:
        evidence = opened(pixels)
        return {name: cam(evidence) for name, cam in cams.items()}

    return explain


def _one_of(explain: Explain, name: Heatmap) -> Callable[[Pixels], Heat]:
    return lambda pixels: explain(pixels)[name]


def _from_model(model: Model) -> Explain:
    return lambda pixels: {Heatmap.GRAD_CAM: model.runtime().run(pixels).heatmap}


def _examine_one(model: Model, explain: Explain, compared: Explain, path: str, seed: list[int]) -> _Examined:
    pixels, random = _read(model, path), np.random.default_rng(seed)
    lungs = upsampled(lung_mask(pixels), (pixels.shape[0], pixels.shape[1]))
    of_model = explain(pixels)
    cells = (of_model[Heatmap.GRAD_CAM].shape[0], of_model[Heatmap.GRAD_CAM].shape[1])
    baselines = {Heatmap.RANDOM: random_heat(cells, random), Heatmap.CENTRE_BLOB: centre_blob(cells)}
    baselines[Heatmap.LUNGS] = lungs
    perturbation = Perturbation(pixels, lambda changed: model.runtime().run(changed).probability)
    scores: dict[Heatmap, dict[Check, float]] = {}
    curves: dict[Heatmap, Curves] = {}
    for name, heat in (of_model | baselines).items():
        curves[name] = perturbation.curves(heat, random)
        scores[name] = {
            Check.INSERTION: area(curves[name].insertion),
            Check.DELETION: area(curves[name].deletion),
            Check.LUNG_SHARE: lung_share(heat, lungs > LUNG),
        }
    for name, heat in of_model.items():
        scores[name][Check.STABILITY] = shift_stability(pixels, heat, _one_of(explain, name))
    return _Examined(pixels, lungs > LUNG, compared(pixels), scores, curves)


def _randomised(
    flatbuffer: Flatbuffer | None,
    results: Sequence[_Examined],
    seed: int,
    pool: ThreadPoolExecutor,
    undefined: dict[str, str],
) -> tuple[RandomisedScores, ...]:
    """Every stage of the cascade on every image."""
    if flatbuffer is None:
        return ()
    stages = []
    try:
        for stage in cascade(flatbuffer, seed=seed):
            compared = _from_graph(stage.graph, _COMPARED)
            maps = list(pool.map(compared, [result.pixels for result in results]))
            similarity = {
                name: np.array(
                    [rank_correlation(r.compared[name], after[name]) for r, after in zip(results, maps, strict=True)]
                )
                for name in MODEL_HEATMAPS
            }
            stages.append(RandomisedScores(stage.stage, stage.layers, similarity))
    except ModelError as error:
        undefined["randomisation"] = str(error)
        return ()
    return tuple(stages)


def _other_image(results: Sequence[_Examined]) -> dict[Heatmap, NDArray[np.float64]]:
    """Each heatmap against the next image's: what heatmaps have in common anyway."""
    others = [*results[1:], results[0]]
    return {
        name: np.array(
            [rank_correlation(a.compared[name], b.compared[name]) for a, b in zip(results, others, strict=True)]
        )
        for name in results[0].compared
    }


def _columns(rows: Sequence[dict[Heatmap, dict[Check, float]]]) -> dict[Heatmap, dict[Check, NDArray[np.float64]]]:
    if not rows:
        return {}
    return {
        name: {test: np.array([row[name][test] for row in rows], np.float64) for test in tests}
        for name, tests in rows[0].items()
    }

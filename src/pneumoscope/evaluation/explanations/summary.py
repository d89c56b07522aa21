"""What the tests of a model's explanations say: scores of single images in, means with intervals out.

The scores themselves are computed in ``pneumoscope.explain``; the sources of the tests are named there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.statistics import bootstrap
from pneumoscope.statistics.intervals import Interval

Floats = NDArray[np.float64]


class Heatmap(StrEnum):
    """Whose heatmap: the model's by two methods, and three that know nothing of the model."""

    GRAD_CAM = "grad-cam"
    GRAD_CAM_PLUS_PLUS = "grad-cam++"
    RANDOM = "random"
    CENTRE_BLOB = "centre-blob"
    LUNGS = "lungs"


class Check(StrEnum):
    """What a heatmap is tested for."""

    INSERTION = "insertion"
    DELETION = "deletion"
    LUNG_SHARE = "lung_share"
    STABILITY = "stability"

    @property
    def meaning(self) -> str:
        """In words."""
        return _MEANING[self]


_MEANING: Final[Mapping[Check, str]] = {
    Check.INSERTION: "mean log odds of pneumonia while pixels, the hottest first, are put on grey; more is better",
    Check.DELETION: "mean log odds of pneumonia while pixels, the hottest first, are made grey; less is better",
    Check.LUNG_SHARE: "share of the heat inside the lungs, by the lung-field network; compare with their share of area",
    Check.STABILITY: "rank correlation with the heatmap of the image shifted by a few pixels, shifted back",
}
RANDOMISATION_MEANING: Final = (
    "rank correlation with the heatmap of the model after its layers, from the last downwards, had their weights "
    "shuffled; it should fall to the level of two different images. Grad-CAM is compared with its negative part"
)
OTHER_IMAGE_MEANING: Final = "rank correlation of the heatmaps of two different images: what maps have in common anyway"

MODEL_HEATMAPS: Final = (Heatmap.GRAD_CAM, Heatmap.GRAD_CAM_PLUS_PLUS)
BASELINES: Final = (Heatmap.RANDOM, Heatmap.CENTRE_BLOB, Heatmap.LUNGS)
AGAINST_BASELINES: Final = (Check.INSERTION, Check.DELETION)


@dataclass(frozen=True, eq=False)
class RandomisedScores:
    """One stage of the model-randomisation check.

    Attributes:
        stage: what was randomised, in words.
        layers: how many layers that is.
        similarity: by heatmap, ``float64 [N]``: rank correlation with the trained model's; NaN where a map is constant.
    """

    stage: str
    layers: int
    similarity: Mapping[Heatmap, Floats]


@dataclass(frozen=True, eq=False)
class ExplanationScores:
    """Scores of N images; NaN where a score is undefined for an image, because its heatmap is blank.

    Attributes:
        paths: of the images.
        patients: N patient keys, ``None`` where unknown; or ``None`` for all.
        of: how many images they were drawn from.
        chosen: how they were drawn, in words.
        scores: by heatmap and test, ``float64 [N]``.
        curves: by heatmap, for insertion and deletion: log odds of pneumonia, ``float64 [N, steps + 1]``.
        other_image: by heatmap of the model, ``float64 [N]``: rank correlation with another image's.
        randomised: the stages, the last layer first; empty where the check could not be made.
        lung_area: share of the image's area that is lung, mean of the images; ``None`` without images.
        undefined: what could not be computed at all, and why.
    """

    paths: tuple[str, ...]
    patients: tuple[str | None, ...] | None
    of: int
    chosen: str
    scores: Mapping[Heatmap, Mapping[Check, Floats]]
    curves: Mapping[Heatmap, Mapping[Check, Floats]]
    other_image: Mapping[Heatmap, Floats]
    randomised: tuple[RandomisedScores, ...]
    lung_area: float | None
    undefined: Mapping[str, str]


@dataclass(frozen=True)
class Estimate:
    """A mean over images.

    Attributes:
        mean: ``None`` where no image has the score.
        ci95: percentiles of the bootstrap clustered by patient; ``None`` where most draws are undefined.
        n: images that have the score.
        undefined: images that have none, because a heatmap is blank.
    """

    mean: float | None
    ci95: Interval | None
    n: int
    undefined: int

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``."""
        return {"mean": self.mean, "ci95": self.ci95 and list(self.ci95), "n": self.n, "n_undefined": self.undefined}


@dataclass(frozen=True)
class RandomisedStage:
    """One stage of the model-randomisation check: see :class:`RandomisedScores`."""

    stage: str
    layers: int
    similarity: Mapping[Heatmap, Estimate]


@dataclass(frozen=True, eq=False)
class ExplanationTests:
    """All tests of the explanations of one model on one subset of images.

    Attributes:
        scores: what was summarised.
        means: by heatmap and test.
        gains: by heatmap of the model and baseline: mean difference, heatmap less baseline, image by image.
        plus_plus: Grad-CAM++ less Grad-CAM, image by image; empty where one is missing.
        other_image: by heatmap of the model.
        randomisation: the stages, the last layer first.
    """

    scores: ExplanationScores
    means: Mapping[Heatmap, Mapping[Check, Estimate]]
    gains: Mapping[Heatmap, Mapping[Heatmap, Mapping[Check, Estimate]]]
    plus_plus: Mapping[Check, Estimate]
    other_image: Mapping[Heatmap, Estimate]
    randomisation: tuple[RandomisedStage, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of ``explanations`` in ``report.json``."""
        scores = self.scores
        return {
            "n": len(scores.paths),
            "of": scores.of,
            "chosen": scores.chosen,
            "interval": "95 %, percentiles of the bootstrap clustered by patient",
            "meaning": {test.value: test.meaning for test in Check}
            | {"randomisation": RANDOMISATION_MEANING, "other_image": OTHER_IMAGE_MEANING},
            "lungs_share_of_area": scores.lung_area,
            "heatmaps": {name.value: _tests_json(tests) for name, tests in self.means.items()},
            "less_baseline": {
                name.value: {baseline.value: _tests_json(tests) for baseline, tests in gains.items()}
                for name, gains in self.gains.items()
            },
            "plus_plus_less_grad_cam": _tests_json(self.plus_plus),
            "other_image": {name.value: estimate.to_json() for name, estimate in self.other_image.items()},
            "randomisation": [
                {
                    "randomised": stage.stage,
                    "layers": stage.layers,
                    **{name.value: estimate.to_json() for name, estimate in stage.similarity.items()},
                }
                for stage in self.randomisation
            ],
            "curves": {
                name.value: {test.value: values.mean(axis=0).tolist() for test, values in curves.items()}
                for name, curves in scores.curves.items()
            },
            "images": list(scores.paths),
            "undefined": dict(scores.undefined),
        }


def summarise(scores: ExplanationScores, *, draws: int = bootstrap.DRAWS, seed: int = 0) -> ExplanationTests:
    """Means and their intervals.

    Args:
        scores: of single images.
        draws: bootstrap draws, the same patients for every mean.
        seed: of the bootstrap.
    """
    if not scores.paths:
        return ExplanationTests(scores, {}, {}, {}, {}, ())
    resampling = bootstrap.Resampling.draw(scores.patients, len(scores.paths), draws=draws, seed=seed)
    by_image = scores.scores

    def paired(a: Heatmap, b: Heatmap, tests: Sequence[Check]) -> dict[Check, Estimate]:
        return {test: estimate(by_image[a][test] - by_image[b][test], resampling) for test in tests}

    known = [name for name in MODEL_HEATMAPS if name in by_image]
    return ExplanationTests(
        scores=scores,
        means={
            name: {test: estimate(values, resampling) for test, values in tests.items()}
            for name, tests in by_image.items()
        },
        gains={name: {baseline: paired(name, baseline, AGAINST_BASELINES) for baseline in BASELINES} for name in known},
        plus_plus=paired(known[1], known[0], tuple(Check)) if len(known) == 2 else {},
        other_image={name: estimate(values, resampling) for name, values in scores.other_image.items()},
        randomisation=tuple(
            RandomisedStage(
                stage.stage,
                stage.layers,
                {name: estimate(values, resampling) for name, values in stage.similarity.items()},
            )
            for stage in scores.randomised
        ),
    )


def estimate(values: Floats, resampling: bootstrap.Resampling) -> Estimate:
    """Mean of the defined values with its clustered interval.

    Args:
        values: ``float64 [N]``, NaN where undefined.
        resampling: over the same N images.
    """
    defined = np.isfinite(values)
    n = int(defined.sum())
    if n == 0:
        return Estimate(None, None, 0, len(values))
    total, count = resampling.totals(np.where(defined, values, 0.0), defined)
    drawn = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return Estimate(float(values[defined].mean()), bootstrap.percentile_interval(drawn), n, len(values) - n)


def _tests_json(tests: Mapping[Check, Estimate]) -> dict[str, Any]:
    return {test.value: value.to_json() for test, value in tests.items()}

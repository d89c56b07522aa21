"""The shortcut score: what can be told of a label without looking at the lungs.

A network that reads how a patient is framed, and not the lungs, does as well on any validation drawn from the same
data (Zech et al. 2018, doi 10.1371/journal.pmed.1002683; DeGrave et al. 2021, doi 10.1038/s42256-021-00338-7). The
score makes that visible: gradient boosting sees a 28 x 28 thumbnail whose lungs are left out, and says how likely
pneumonia is; each patient is scored by a model that was fitted on others. Images whose score contradicts their label
are *conflicting*: on them a shortcut harms, so they show what a model does without one.

What it sees: grey levels outside the widened lung mask, standardised over those very pixels, so that neither the
lungs' brightness nor their contrast is in them. Where the lungs are is left blank, and so can be seen by its outline:
that is how the patient is framed, and a part of the shortcut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.statistics.bootstrap import DRAWS, Resampling, percentile_interval, score_draws
from pneumoscope.statistics.intervals import Interval
from pneumoscope.statistics.metrics import Metric

SIDE: Final = 28
"""Side of the thumbnail, in pixels: too coarse for an opacity, fine enough for shoulders and borders."""

WIDENED: Final = 0.03
"""Share of the side by which the lung mask is widened on each side, so that no rim of lung is left."""

FOLDS: Final = 5
FEWEST: Final = 20
"""Images of each class below which no score is made."""

BINS: Final = (0.0, 0.05, 0.3, 0.7, 0.95, 1.0)
"""Edges of the groups of score that figures are reported by."""

HISTOGRAM: Final = 20
"""Bins of the histogram, all of the same width."""

_LUNG: Final = 0.4  # of 1: a mask's doubtful rim counts as lung
_SEEN: Final = 0.02  # share of the images in which a cell must lie outside the lungs
_FLAT: Final = 1.0  # grey levels; a picture that is even outside the lungs is not blown up to noise

Floats = NDArray[np.float64]


def area_shrunk(stack: NDArray[np.generic], side: int = SIDE) -> NDArray[np.float32]:
    """Shrink pictures ``[N, H, W]`` to ``float32 [N, side, side]``; every cell is the mean of the area it covers."""
    rows, columns = (_area_weights(length, side) for length in stack.shape[1:])
    return np.stack([rows @ picture.astype(np.float32) @ columns.T for picture in stack])


def _area_weights(source: int, target: int) -> NDArray[np.float32]:
    edges = np.linspace(0, source, target + 1)
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.maximum(overlap, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def outside_lungs(images: NDArray[np.generic], masks: NDArray[np.generic]) -> NDArray[np.float32]:
    """What is left of each picture without its lungs.

    Args:
        images: ``uint8 [N, H, W]`` grey levels, or any other shape that is at least :data:`SIDE` each way.
        masks: lung masks ``[N, h, w]``, 0 to 1 or ``uint8`` 0 to 255, of the same pictures in whatever size.

    Returns:
        ``float32 [N, SIDE * SIDE]``: standard deviations from the mean of what is outside; NaN where lungs are.
        A picture that is lungs all over has NaN throughout.

    Raises:
        DataError: the numbers of pictures and masks differ.
    """
    from scipy.ndimage import maximum_filter

    if len(images) != len(masks):
        raise DataError(f"{len(masks)} lung masks for {len(images)} images; each image needs its own")
    if len(images) == 0:
        return np.empty((0, SIDE * SIDE), np.float32)
    limit = _LUNG * 255 if masks.dtype == np.uint8 else _LUNG
    height, width = masks.shape[1:]
    reach = (1, 2 * round(WIDENED * height) + 1, 2 * round(WIDENED * width) + 1)
    lungs = area_shrunk(maximum_filter(masks.astype(np.float32) >= limit, size=reach)) > 0
    left = np.where(lungs, np.float32(np.nan), area_shrunk(images)).reshape(len(images), -1)
    count = np.maximum(np.isfinite(left).sum(axis=1, keepdims=True), 1)
    mean = np.nansum(left, axis=1, keepdims=True) / count
    deviation = np.sqrt(np.nansum((left - mean) ** 2, axis=1, keepdims=True) / count)
    return np.asarray((left - mean) / (deviation + _FLAT), np.float32)


def shortcut_scores(
    images: NDArray[np.generic],
    masks: NDArray[np.generic],
    labels: NDArray[np.generic],
    patients: Sequence[str],
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> Floats:
    """P(pneumonia) of each image from what is outside its lungs, by a model fitted on other patients.

    Args:
        images: as :func:`outside_lungs` takes them.
        masks: likewise.
        labels: ``[N]``, 0 or False normal, 1 or True pneumonia.
        patients: N patient keys.
        folds: patients are divided into so many.
        seed: of the folds and of the boosting.

    Returns:
        ``float64 [N]``, 0 to 1, where the classes are as common as in the data.

    Raises:
        DataError: masks are missing, a class has under :data:`FEWEST` images, or too few patients for the folds.
    """
    return scores_without_lungs(outside_lungs(images, masks), labels, patients, folds=folds, seed=seed)


def scores_without_lungs(
    features: NDArray[np.float32],
    labels: NDArray[np.generic],
    patients: Sequence[str],
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> Floats:
    """As :func:`shortcut_scores`, from features ``float32 [N, F]`` (NaN is missing) instead of pictures."""
    from sklearn.model_selection import StratifiedGroupKFold

    positive = np.asarray(labels) == 1
    _check_enough(positive, patients, folds)
    scores = np.full(len(positive), np.nan)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for fitted, held_out in splitter.split(features, positive, list(patients)):
        scores[held_out] = fit_boosting(features[fitted], positive[fitted], seed=seed).scores(features[held_out])
    return scores


@dataclass(frozen=True, eq=False)
class Boosting:
    """The fitted model behind the score.

    Attributes:
        columns: ``intp``, the features that it sees: those that are missing nearly everywhere tell nothing.
        model: scikit-learn's classifier over them.
    """

    columns: NDArray[np.intp]
    model: Any

    def scores(self, features: NDArray[np.float32]) -> Floats:
        """P(pneumonia) of features ``float32 [N, F]`` -> ``float64 [N]``."""
        return np.asarray(self.model.predict_proba(features[:, self.columns])[:, 1], np.float64)


def fit_boosting(features: NDArray[np.float32], positive: NDArray[np.bool_], *, seed: int = 0) -> Boosting:
    """Fit histogram gradient boosting, which takes missing values as they are.

    Friedman 2001, doi 10.1214/aos/1013203451; scikit-learn's, after Ke et al. 2017 (LightGBM).

    Args:
        features: ``float32 [N, F]``, NaN where missing.
        positive: ``bool [N]``, both classes present.
        seed: of the boosting.

    Raises:
        DataError: no feature is there in enough images.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = np.flatnonzero(np.isfinite(features).mean(axis=0) >= _SEEN)
    if not len(columns):
        raise DataError("nothing is left outside the lung masks to score the images by; check the masks")
    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, max_leaf_nodes=15, max_bins=63, early_stopping=False, random_state=seed
    )
    return Boosting(columns, model.fit(features[:, columns], positive))


def _check_enough(positive: NDArray[np.bool_], patients: Sequence[str], folds: int) -> None:
    for name, of_class in (("NORMAL", ~positive), ("PNEUMONIA", positive)):
        images, people = int(of_class.sum()), len({patients[int(row)] for row in np.flatnonzero(of_class)})
        if images < FEWEST or people < folds:
            raise DataError(
                f"the shortcut score needs at least {FEWEST} images and {folds} patients of each class; "
                f"{name} has {images} of {people}"
            )


def conflict_limit(labels: NDArray[np.generic]) -> float:
    """The score that says nothing: the share of pneumonias in the data that the scores were fitted on."""
    return float((np.asarray(labels) == 1).mean())


def conflicting(scores: Floats, labels: NDArray[np.generic], limit: float) -> NDArray[np.bool_]:
    """Which images' scores contradict their labels: normals at ``limit`` or above, pneumonias below; ``bool [N]``."""
    return np.asarray((scores >= limit) != (np.asarray(labels) == 1), bool)


@dataclass(frozen=True)
class ShortcutSummary:
    """How much can be told without lungs.

    Attributes:
        images: scored.
        patients: of those.
        auc: of the scores, 0 to 1; 0.5 where nothing can be told.
        auc_ci95: percentiles of the bootstrap clustered by patient; the scores are taken as given.
        limit: scores from here on speak for pneumonia.
        conflicting: number of images whose score contradicts the label, by label.
        histogram: images by label and score, :data:`HISTOGRAM` bins from 0 to 1.
    """

    images: int
    patients: int
    auc: float
    auc_ci95: Interval | None
    limit: float
    conflicting: dict[str, int]
    histogram: dict[str, tuple[int, ...]]


def summarise(
    scores: Floats, labels: NDArray[np.generic], patients: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> ShortcutSummary:
    """AUC with its interval, conflicting images and histograms of scores ``float64 [N]``.

    Args:
        scores: out of fold, as :func:`shortcut_scores` gives them.
        labels: ``[N]``, both classes present.
        patients: N patient keys.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    from sklearn.metrics import roc_auc_score

    positive = np.asarray(labels) == 1
    resampling = Resampling.draw(list(patients), len(scores), draws=draws, seed=seed)
    drawn = score_draws(resampling, positive.astype(np.int64), scores, np.ones(len(scores), bool))
    limit = conflict_limit(positive)
    against = conflicting(scores, positive, limit)
    classes = {"NORMAL": ~positive, "PNEUMONIA": positive}
    return ShortcutSummary(
        images=len(scores),
        patients=len(set(patients)),
        auc=float(roc_auc_score(positive, scores)),
        auc_ci95=percentile_interval(drawn.metrics[Metric.AUC]),
        limit=limit,
        conflicting={name: int((against & of_class).sum()) for name, of_class in classes.items()},
        histogram={
            name: tuple(int(n) for n in np.histogram(scores[of_class], HISTOGRAM, (0, 1))[0])
            for name, of_class in classes.items()
        },
    )

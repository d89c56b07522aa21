"""A finished model calibrated on a site's own labelled images: a new one-file model whose contract says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.affine_graph import with_affine
from pneumoscope.errors import DataError, ModelError
from pneumoscope.model import describe
from pneumoscope.model.contract import CONTRACT_VERSION, Contract
from pneumoscope.model.operating_point import BALANCED
from pneumoscope.model.packaging import ModelPackage, pack, unpack
from pneumoscope.model.runtime import LiteRTRuntime
from pneumoscope.model.wording import share
from pneumoscope.statistics.calibrated_scale import LEAST_IMAGES, CalibratedScale, fit_scale
from pneumoscope.statistics.conformal import wilson_share
from pneumoscope.statistics.labelled_scores import LABELS, LabelledScores
from pneumoscope.statistics.odds import logit
from pneumoscope.statistics.operating_points import OperatingPointName

ENOUGH: Final = 100
"""Images of each class from which the intervals of rates are narrow enough to work with."""
_EDGE: Final = 1e-7  # a float32 probability comes no closer to 1
_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, eq=False)
class SiteScores:
    """A model's scores of a site's images.

    Attributes:
        probabilities: ``float64 [N]``, as the model gives them.
        labels: ``int64 [N]``, 0 or 1.
        patients: N keys.
        site: what the images are, in words.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: Sequence[str]
    site: str

    def counts(self) -> tuple[int, int]:
        """Normals and pneumonias."""
        pneumonias = int(self.labels.sum())
        return len(self.labels) - pneumonias, pneumonias


def how_wide(n: int, rate: float = 0.9) -> str:
    """The 95 % interval of a rate of 0.9 that was found on ``n`` images, in words."""
    low, high = wilson_share(rate, max(n, 1))
    return f"a rate of {share(rate)} would be known as {share(low)} to {share(high)}"


def check_enough(scores: SiteScores) -> tuple[str, ...]:
    """What to know of a site with few images, one sentence for each class with less than :data:`ENOUGH`.

    Raises:
        DataError: a class has fewer than 20 images: nothing that is fitted on them would mean anything.
    """
    counts = dict(zip(LABELS, scores.counts(), strict=True))
    few = {label: n for label, n in counts.items() if n < LEAST_IMAGES}
    if few:
        told = ", ".join(f"{n} {label}" for label, n in few.items())
        raise DataError(
            f"{scores.site}: {told} that could be judged; at least {LEAST_IMAGES} of each class are needed, and "
            f"{ENOUGH} to work with: with {min(few.values())} {how_wide(min(few.values()))}"
        )
    return tuple(f"{n} {label} are less than {ENOUGH}: {how_wide(n)}" for label, n in counts.items() if n < ENOUGH)


def fit_site(scores: SiteScores) -> CalibratedScale:
    """Fit scale, operating points and band on a site's scores, half of the weight on each class.

    Raises:
        DataError: a class has fewer than 20 images.
    """
    check_enough(scores)
    logits = logit(scores.probabilities, edge=_EDGE)
    populations = [scores.site] * len(logits)
    normals, pneumonias = scores.counts()
    source = f"{normals + pneumonias} labelled images of {scores.site}"
    return fit_scale(LabelledScores(logits, scores.labels, scores.patients, populations), source=source)


def calibrated_model(package: ModelPackage, scale: CalibratedScale) -> bytes:
    """The one-file model with another scale.

    Args:
        package: of the model that gave the scores.
        scale: from :func:`fit_site`.

    Raises:
        ModelError: its graph cannot be calibrated, or does not give what was computed.
    """
    graph = with_affine(package.graph, 1 / scale.affine.temperature, scale.affine.bias)
    _check(package.graph, graph, scale)
    contract = dataclasses.replace(
        package.contract,
        operating_points=scale.operating_points,
        default_operating_point=OperatingPointName.BALANCED.value,
        conformal=scale.band,
        calibration=scale.record,
        contract_version=CONTRACT_VERSION,
    )
    return pack(graph, contract, f"{package.card.rstrip()}\n\n{_card_section(scale, contract)}")


def _check(before: bytes, after: bytes, scale: CalibratedScale) -> None:
    """Whether the new graph says what was computed, on noise: the arithmetic is the same for any picture."""
    old, new = LiteRTRuntime(before), LiteRTRuntime(after)
    generator = np.random.default_rng(0)
    for _ in range(3):
        pixels = generator.integers(0, 256, (old.height, old.width), dtype=np.uint8)
        wanted = scale.affine.probability(logit([old.run(pixels).probability], edge=_EDGE))[0]
        given = new.run(pixels).probability
        if abs(given - wanted) > _TOLERANCE:
            raise ModelError(
                f"the calibrated graph gives {given:.6f} where {wanted:.6f} was computed; nothing is written"
            )


def _card_section(scale: CalibratedScale, contract: Contract) -> str:
    parts = [
        "## Calibrated anew",
        f"What stands above of operating points and calibration is of the model before. On {scale.record.source} "
        f"({scale.record.pneumonias} pneumonias, {scale.record.normals} normals) its log odds were divided by "
        f"{scale.affine.temperature:.3f} and {scale.affine.bias:+.3f} was added, so that a score of {BALANCED} is "
        "where either answer is as likely if half of the patients have pneumonia. Figures by cross-fitting:",
        _markdown(describe.operating_points(contract)),
    ]
    if (found := describe.coverage(contract)) is not None:
        parts += [describe.band_sentence(contract), _markdown(found)]
    return "\n\n".join(parts) + "\n"


def _markdown(table: describe.Table) -> str:
    header, rows = table
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def reread(content: bytes) -> ModelPackage:
    """The new model as a client will read it.

    Raises:
        ModelError: it would not be read.
    """
    return unpack(content, "the calibrated model")

"""What a contract promises, as tables of words: operating points by population, and where the promise is kept."""

from __future__ import annotations

from pneumoscope.model.contract import Contract
from pneumoscope.model.operating_point import OperatingPoint, PopulationRates
from pneumoscope.model.wording import share

Table = tuple[list[str], list[list[str]]]
"""Header and rows."""


def operating_points(contract: Contract) -> Table:
    """Every operating point with its sensitivity and specificity: over all, then by population where that is known."""
    rows = []
    for name, point in contract.operating_points.items():
        first = f"`{name}`, {point.threshold:.4f}"
        rows.append([first, "all, as weighted for calibration" if point.populations else "validation", *_rates(point)])
        rows += [[first, _images(rates), *_rates(rates)] for rates in point.populations]
    return ["operating point, threshold", "images", "sensitivity (95 %)", "specificity (95 %)"], rows


def coverage(contract: Contract) -> Table | None:
    """Coverage of the prediction sets by population and class, and whether the promise is kept within its interval.

    ``None`` for a model that promises nothing.
    """
    band = contract.conformal
    if band is None:
        return None
    rows = [
        [
            entry.population,
            entry.label,
            str(entry.n),
            f"{share(entry.coverage)} ({share(entry.ci95[0])} to {share(entry.ci95[1])})",
            share(entry.uncertain),
            "kept" if entry.ci95[1] >= band.coverage else "**not kept**",
        ]
        for entry in band.populations
    ]
    return ["images", "class", "n", "coverage (95 %)", "uncertain", f"promise of {share(band.coverage)}"], rows


def band_sentence(contract: Contract) -> str:
    """From where to where the model does not know, and what that promises; empty where it promises nothing."""
    band = contract.conformal
    if band is None:
        return ""
    return (
        f"Both labels stay open from {band.lower:.4f} to {band.upper:.4f}: the model does not know. The set of labels "
        f"that stay open is to hold the true one of {share(band.coverage)} of the images of each class."
    )


def _images(rates: PopulationRates) -> str:
    return f"{rates.population} ({rates.pneumonias} pneumonias, {rates.normals} normals)"


def _rates(point: OperatingPoint | PopulationRates) -> tuple[str, str]:
    told = []
    for name in ("sensitivity", "specificity"):
        interval = "" if point.ci95 is None else " ({} to {})".format(*(share(end) for end in point.ci95[name]))
        told.append(f"{share(getattr(point, name))}{interval}")
    return told[0], told[1]

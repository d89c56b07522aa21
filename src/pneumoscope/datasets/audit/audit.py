"""The audit of a data folder: what a careful reviewer asks before trusting a figure made on it.

Every finding is listed with paths relative to the data folder. A *leak* is what would spoil an evaluation: the
same bytes in two splits or under two labels, or one (number, agent) patient in two splits. The bare patient
number in two splits is reported and is not by itself a leak, because the agents seem to be separate counters.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pneumoscope.datasets.audit.duplicates import NEAR_LIMIT, near_pairs, same_value_groups
from pneumoscope.datasets.audit.findings import (
    Audit,
    ByteGroup,
    Conflict,
    Count,
    LabelErrors,
    NearPair,
    SharedPatient,
    Spread,
    Suspect,
    WithoutLungs,
)
from pneumoscope.datasets.audit.label_errors import Predicted, suspected
from pneumoscope.datasets.audit.measure import SIDE, STATISTICS, Measurement, Unreadable, measure_images
from pneumoscope.datasets.audit.shortcut import score_surroundings
from pneumoscope.datasets.kermany import PatientKey, parse_name
from pneumoscope.datasets.layout import official_splits
from pneumoscope.datasets.registry import scan_folder
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import DataError
from pneumoscope.imaging.search import IMAGE_ENDINGS
from pneumoscope.labels import Label

ALL = "all"
"""Name of the one split of a folder that holds the two classes directly."""

SHORTCUT_LIMIT = 0.7
"""AUC from which one number that is no anatomy is called a sign of a shortcut."""

_FEW = 10  # fewer images of a class give no AUC worth printing
_EXTREMES = 4
_DOMINANT = 0.9  # share from which one size or mode is the rule and others are odd
_MIN_SIDE = 128  # shorter sides are refused at prediction
_MAX_ASPECT = 2.0


def audit_folder(data_dir: Path, *, predictions: Sequence[Predicted] | None = None, jobs: int | None = None) -> Audit:
    """Audit a data folder: its official splits, or the classes that lie there directly.

    Args:
        data_dir: in the layout of :mod:`pneumoscope.datasets.layout`; missing classes are findings here.
        predictions: out-of-sample predictions to screen the labels with.
        jobs: threads; as many as there are processors by default.

    Raises:
        DataError: there is no such folder, it holds no image, or no prediction fits an image.
    """
    scan = scan_folder(data_dir, official_splits(data_dir))
    if not scan.images:
        faults = "\n  ".join(scan.problems)
        raise DataError(f"{data_dir}: no image found (endings read: {', '.join(sorted(IMAGE_ENDINGS))})\n  {faults}")
    read, unreadable = measure_images(scan.images, jobs=jobs)
    name = _Names(data_dir)
    groups = _byte_groups(read, name)
    shared = {kind.value: _shared_patients(scan.images, kind) for kind in PatientKey}
    auc = {split: _shortcut_auc(images) for split, images in _by_split(read).items()}
    sizes = Counter(f"{m.width} x {m.height}" for m in read)
    modes = Counter(m.mode for m in read)
    return Audit(
        images=len(scan.images),
        splits=tuple(dict.fromkeys(map(_split, scan.images))),
        leaks=_leaks(groups, shared[PatientKey.AGENT.value]),
        layout_problems=tuple(
            problem.replace(f"{data_dir}/", "").replace(str(data_dir), ".") for problem in scan.problems
        ),
        left_out=tuple(map(name, scan.left_out)),
        counts=_counts(scan.images, unreadable),
        unreadable={name(file.image.path): file.reason for file in unreadable},
        unparsed_names=tuple(name(image.path) for image in scan.images if not image.patient_known),
        contradicting_names=tuple(name(image.path) for image in scan.images if _contradicts(image)),
        numbers_under_both_agents=_under_both_agents(scan.images),
        shared_patients=shared,
        byte_duplicates=groups,
        near_duplicates=_near_duplicates(read, name),
        sizes=dict(sizes.most_common()),
        modes=dict(modes.most_common()),
        odd_sizes=_odd_sizes(read, sizes, name),
        odd_modes={name(m.image.path): m.mode for m in read if m.mode != modes.most_common(1)[0][0]},
        statistics=_statistics(read),
        statistics_meaning=STATISTICS | {"measured on": f"the whole image squashed to {SIDE} x {SIDE} pixels"},
        shortcut_auc=auc,
        shortcut_signs=_shortcut_signs(auc),
        extremes=_extremes(read, name),
        label_errors=_label_errors(scan.images, predictions, data_dir),
        without_lungs=_without_lungs(read, name),
    )


class _Names:
    """A file's name in the findings: relative to the data folder, with forward slashes."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __call__(self, path: Path) -> str:
        return path.relative_to(self._data_dir).as_posix()


def _split(image: LabelledImage) -> str:
    return image.split or ALL


def _by_split(read: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    groups: dict[str, list[Measurement]] = defaultdict(list)
    for measurement in read:
        groups[_split(measurement.image)].append(measurement)
    return dict(groups)


def _key(image: LabelledImage, kind: PatientKey) -> str:
    facts = parse_name(image.path.stem)
    return facts.key(kind) if facts else image.path.stem


def _contradicts(image: LabelledImage) -> bool:
    facts = parse_name(image.path.stem)
    return facts is not None and (facts.subtype == "NORMAL") != (image.label is Label.NORMAL)


def _counts(images: Sequence[LabelledImage], unreadable: Sequence[Unreadable]) -> tuple[Count, ...]:
    groups: dict[tuple[str, str], list[LabelledImage]] = defaultdict(list)
    for image in images:
        groups[_split(image), image.label.value].append(image)
    failed = Counter((_split(file.image), file.image.label.value) for file in unreadable)
    return tuple(
        Count(
            split=split,
            label=label,
            images=len(group),
            unreadable=failed[split, label],
            patients_person=len({_key(image, PatientKey.PERSON) for image in group}),
            patients_agent=len({_key(image, PatientKey.AGENT) for image in group}),
            subtypes=dict(sorted(Counter(image.subtype or "unknown" for image in group).items())),
        )
        for (split, label), group in groups.items()
    )


def _under_both_agents(images: Sequence[LabelledImage]) -> dict[str, int]:
    agents: dict[tuple[str, str], set[str]] = defaultdict(set)
    for image in images:
        if facts := parse_name(image.path.stem):
            agents[_split(image), facts.person].add(facts.subtype)
    both = Counter(split for (split, _), kinds in agents.items() if len(kinds) > 1)
    return {split: both[split] for split in dict.fromkeys(map(_split, images))}


def _shared_patients(images: Sequence[LabelledImage], kind: PatientKey) -> tuple[SharedPatient, ...]:
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        splits[_key(image, kind)][_split(image)] += 1
    return tuple(SharedPatient(key, dict(counts)) for key, counts in sorted(splits.items()) if len(counts) > 1)


def _differs(images: Sequence[LabelledImage]) -> dict[str, bool]:
    return {
        "across_splits": len({_split(image) for image in images}) > 1,
        "across_labels": len({image.label for image in images}) > 1,
        "across_patients": len({_key(image, PatientKey.AGENT) for image in images}) > 1,
    }


def _byte_groups(read: Sequence[Measurement], name: _Names) -> tuple[ByteGroup, ...]:
    groups = [[read[i] for i in positions] for positions in same_value_groups([m.sha256 for m in read])]
    return tuple(
        ByteGroup(group[0].sha256, tuple(name(m.image.path) for m in group), **_differs([m.image for m in group]))
        for group in groups
    )


def _near_duplicates(read: Sequence[Measurement], name: _Names) -> tuple[NearPair, ...]:
    if not read:
        return ()
    pairs = near_pairs(np.stack([m.perceptual_hash for m in read]), NEAR_LIMIT)
    found = [(read[first], read[second], int(distance)) for first, second, distance in pairs]
    return tuple(
        NearPair((name(a.image.path), name(b.image.path)), distance, **_differs([a.image, b.image]))
        for a, b, distance in found
        if a.sha256 != b.sha256
    )


def _leaks(groups: Sequence[ByteGroup], shared: Sequence[SharedPatient]) -> tuple[str, ...]:
    leaks = [f"the same bytes in two splits: {', '.join(g.paths)}" for g in groups if g.across_splits]
    leaks += [f"the same bytes under two labels: {', '.join(g.paths)}" for g in groups if g.across_labels]
    for patient in shared:
        where = ", ".join(f"{count} in {split}" for split, count in patient.images.items())
        leaks.append(f"patient {patient.patient} in two splits: {where}")
    return tuple(leaks)


def _odd_sizes(read: Sequence[Measurement], sizes: Mapping[str, int], name: _Names) -> dict[str, str]:
    """Other sizes than the one nearly all have; without one, sizes too small or too narrow to judge."""
    odd: dict[str, str] = {}
    rule = next((size for size, count in sizes.items() if count >= _DOMINANT * len(read)), None)
    for m in read:
        size = f"{m.width} x {m.height}"
        long, short = max(m.width, m.height), min(m.width, m.height)
        if size != rule if rule else short < _MIN_SIDE or long > _MAX_ASPECT * short:
            odd[name(m.image.path)] = size
    return odd


def _values(images: Sequence[Measurement], statistic: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([m.statistics[statistic] for m in images], np.float64)


def _statistics(read: Sequence[Measurement]) -> dict[str, dict[str, dict[str, Spread]]]:
    result: dict[str, dict[str, dict[str, Spread]]] = {}
    for split, images in _by_split(read).items():
        classes = {label.value: [m for m in images if m.image.label is label] for label in Label}
        result[split] = {
            label: {statistic: _spread(_values(group, statistic)) for statistic in STATISTICS}
            for label, group in classes.items()
            if group
        }
    return result


def _spread(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Spread:
    p5, median, p95 = np.percentile(values, [5, 50, 95])
    numbers = (values.mean(), values.std(), p5, median, p95)
    return Spread(*(round(float(number), 4) for number in numbers))


def _shortcut_auc(images: Sequence[Measurement]) -> dict[str, float | None]:
    from scipy.stats import mannwhitneyu

    normal = [m for m in images if m.image.label is Label.NORMAL]
    pneumonia = [m for m in images if m.image.label is Label.PNEUMONIA]
    if min(len(normal), len(pneumonia)) < _FEW:
        return dict.fromkeys(STATISTICS)
    # The Mann-Whitney U statistic over the number of pairs is the AUC.
    return {
        statistic: round(
            float(mannwhitneyu(_values(pneumonia, statistic), _values(normal, statistic)).statistic)
            / (len(normal) * len(pneumonia)),
            4,
        )
        for statistic in STATISTICS
    }


def _shortcut_signs(auc: Mapping[str, Mapping[str, float | None]]) -> tuple[str, ...]:
    signs = []
    for split, values in auc.items():
        for statistic, value in values.items():
            if value is not None and max(value, 1 - value) >= SHORTCUT_LIMIT:
                direction = "higher" if value > 0.5 else "lower"
                signs.append(
                    f"{split}: {statistic} alone tells the classes apart with AUC {max(value, 1 - value):.2f} "
                    f"({direction} in pneumonia)"
                )
    return tuple(signs)


def _extremes(read: Sequence[Measurement], name: _Names) -> dict[str, dict[str, tuple[str, ...]]]:
    result = {}
    for statistic in STATISTICS:
        values = _values(read, statistic)
        if len(values) > 1 and values.min() < values.max():
            order = np.argsort(values, kind="stable")
            result[statistic] = {
                "lowest": tuple(name(read[i].image.path) for i in order[:_EXTREMES]),
                "highest": tuple(name(read[i].image.path) for i in order[::-1][:_EXTREMES]),
            }
    return result


def _without_lungs(read: Sequence[Measurement], name: _Names) -> WithoutLungs:
    try:
        found = score_surroundings([m.image for m in read], [m.surroundings for m in read])
    except DataError as error:
        lungless = tuple(name(m.image.path) for m in read if m.surroundings.features is None)
        return WithoutLungs("not computed", str(error), no_lungs_found=lungless)
    # The score of the wrong class first, as far from the limit as it can be on its side.
    against = [row for row in np.argsort(np.abs(found.scores - found.summary.limit))[::-1] if found.conflicting[row]]
    return WithoutLungs(
        status="computed",
        note="gradient boosting on a 28 x 28 thumbnail whose widened lungs are left out, five folds by patient",
        images=found.summary.images,
        patients=found.summary.patients,
        auc=round(found.summary.auc, 4),
        auc_ci95=_rounded(found.summary.auc_ci95),
        auc_outline=round(found.outline_auc, 4),
        auc_box=round(found.box_auc, 4),
        limit=round(found.summary.limit, 4),
        histogram=found.summary.histogram,
        conflicting=tuple(
            Conflict(name(found.images[i].path), found.images[i].label.value, round(float(found.scores[i]), 4))
            for i in against
        ),
        no_lungs_found=tuple(name(image.path) for image in found.without_lungs),
    )


def _rounded(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (round(interval[0], 4), round(interval[1], 4))


def _label_errors(
    images: Sequence[LabelledImage], predictions: Sequence[Predicted] | None, data_dir: Path
) -> LabelErrors:
    if predictions is None:
        return LabelErrors("not computed", "no predictions were given (--predictions FILE)")
    by_path = {image.path.resolve(): image for image in images}
    matched: list[tuple[LabelledImage, float]] = []
    unmatched = 0
    for row in predictions:
        # Relative paths are the data folder's, or the working directory's as `evaluate` writes them.
        image = by_path.get((data_dir / row.path).resolve()) or by_path.get(Path(row.path).resolve())
        if image is None:
            unmatched += 1
        elif row.probability is not None:
            matched.append((image, row.probability))
    if not matched:
        raise DataError(f"none of the {len(predictions)} predictions is for an image in {data_dir}; check their paths")
    positive = np.array([image.label is Label.PNEUMONIA for image, _ in matched])
    probability = np.array([value for _, value in matched])
    return LabelErrors(
        status="computed",
        note="confident learning (doi 10.1613/jair.1.12125); holds only if the predictions are out of sample",
        predicted=len(matched),
        without_prediction=len(images) - len({image.path for image, _ in matched}),
        unmatched_predictions=unmatched,
        suspects=tuple(
            Suspect(matched[i][0].path.relative_to(data_dir).as_posix(), matched[i][0].label.value, matched[i][1])
            for i in suspected(positive, probability)
        ),
    )

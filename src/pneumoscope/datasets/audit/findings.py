"""What an audit can find, as records; ``dataclasses.asdict`` of :class:`Audit` is ``audit.json``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Count:
    """Images of one class in one split."""

    split: str
    label: str
    images: int
    unreadable: int
    patients_person: int
    patients_agent: int
    subtypes: dict[str, int]


@dataclass(frozen=True)
class SharedPatient:
    """A patient with images in more than one split.

    Attributes:
        patient: the key.
        images: number of images by split.
    """

    patient: str
    images: dict[str, int]


@dataclass(frozen=True)
class ByteGroup:
    """Files with the same bytes."""

    sha256: str
    paths: tuple[str, ...]
    across_splits: bool
    across_labels: bool
    across_patients: bool


@dataclass(frozen=True)
class NearPair:
    """Two files that look alike and differ in bytes.

    Attributes:
        paths: the two.
        distance: bits of 256 in which their perceptual hashes differ.
    """

    paths: tuple[str, str]
    distance: int
    across_splits: bool
    across_labels: bool
    across_patients: bool


@dataclass(frozen=True)
class Spread:
    """Of one statistic over one class of one split."""

    mean: float
    sd: float
    p5: float
    median: float
    p95: float


@dataclass(frozen=True)
class Suspect:
    """An image whose label out-of-sample predictions contradict."""

    path: str
    label: str
    probability: float


@dataclass(frozen=True)
class LabelErrors:
    """Suspected label errors.

    Attributes:
        status: ``computed``, or ``not computed`` with the reason in ``note``.
        note: how, or why not.
        predicted: images that a prediction was found for.
        without_prediction: images that none was found for.
        unmatched_predictions: predictions for files that the folder does not hold.
        suspects: most confident first.
    """

    status: str
    note: str
    predicted: int = 0
    without_prediction: int = 0
    unmatched_predictions: int = 0
    suspects: tuple[Suspect, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """An image whose shortcut score contradicts its label."""

    path: str
    label: str
    score: float


@dataclass(frozen=True)
class WithoutLungs:
    """How well the classes are told apart by what is outside the lungs, out of fold by patient.

    Attributes:
        status: ``computed``, or ``not computed`` with the reason in ``note``.
        note: how, or why not.
        images: scored.
        patients: of those; each image counts as its own where names carry no patient.
        auc: by the grey levels around the widened lung mask, 0 to 1.
        auc_ci95: bootstrap clustered by patient.
        auc_outline: by the outline of the widened lung mask alone.
        auc_box: by the four edges of the lungs' box alone.
        limit: scores from here on speak for pneumonia: the share of pneumonias.
        histogram: images by class and score, equal bins from 0 to 1.
        conflicting: images whose score contradicts the label, the most contradictory first.
        no_lungs_found: images that have no score, because no lungs were found in them.
    """

    status: str
    note: str
    images: int = 0
    patients: int = 0
    auc: float | None = None
    auc_ci95: tuple[float, float] | None = None
    auc_outline: float | None = None
    auc_box: float | None = None
    limit: float | None = None
    histogram: dict[str, tuple[int, ...]] = field(default_factory=dict)
    conflicting: tuple[Conflict, ...] = ()
    no_lungs_found: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """All findings; ``dataclasses.asdict`` of it is ``audit.json``.

    Attributes:
        images: files with an image ending.
        splits: in the order of the counts.
        leaks: what would spoil an evaluation, one sentence each; empty where nothing would.
        layout_problems: missing and empty classes.
        left_out: files in the class folders that are no images.
        counts: by split and class.
        unreadable: path to reason.
        unparsed_names: files whose name carries no patient.
        contradicting_names: files whose name says another class than their folder.
        numbers_under_both_agents: by split, bare patient numbers with bacterial and viral images.
        shared_patients: by kind of key, patients in more than one split.
        byte_duplicates: groups of byte-identical files.
        near_duplicates: pairs that look alike, byte-identical ones left out.
        sizes: files by ``width x height``, commonest first.
        modes: files by mode.
        odd_sizes: path to size.
        odd_modes: path to mode.
        statistics: split, class, statistic.
        statistics_meaning: what each statistic is.
        shortcut_auc: split, statistic: how well the one number alone tells pneumonia from normal (AUC, 0.5 is
            not at all, below 0.5 is the other way round); ``None`` where a class has under 10 images.
        shortcut_signs: the AUCs that are 0.7 or more, or 0.3 or less, one sentence each.
        extremes: statistic to the files where it is ``lowest`` and ``highest``.
        label_errors: suspected label errors.
        without_lungs: what can be told without looking at the lungs.
    """

    images: int
    splits: tuple[str, ...]
    leaks: tuple[str, ...]
    layout_problems: tuple[str, ...]
    left_out: tuple[str, ...]
    counts: tuple[Count, ...]
    unreadable: dict[str, str]
    unparsed_names: tuple[str, ...]
    contradicting_names: tuple[str, ...]
    numbers_under_both_agents: dict[str, int]
    shared_patients: dict[str, tuple[SharedPatient, ...]]
    byte_duplicates: tuple[ByteGroup, ...]
    near_duplicates: tuple[NearPair, ...]
    sizes: dict[str, int]
    modes: dict[str, int]
    odd_sizes: dict[str, str]
    odd_modes: dict[str, str]
    statistics: dict[str, dict[str, dict[str, Spread]]]
    statistics_meaning: dict[str, str]
    shortcut_auc: dict[str, dict[str, float | None]]
    shortcut_signs: tuple[str, ...]
    extremes: dict[str, dict[str, tuple[str, ...]]]
    label_errors: LabelErrors
    without_lungs: WithoutLungs

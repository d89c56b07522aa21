"""``pneumoscope data``: fetch, audit and split training data."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pneumoscope.model.contract import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from pneumoscope.datasets.audit.findings import Audit, WithoutLungs
    from pneumoscope.datasets.layout import Split
    from pneumoscope.datasets.source import LabelledImage

_LISTED = 8
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def data() -> None:
    """Fetch, audit and split training data."""


@data.command(short_help="Fetch the public data set.")
@click.option("--out", type=_FOLDER, required=True, help="The data folder to make: train, val, test in it.")
@click.option("--source", type=click.Choice(["kaggle", "mendeley"]), default="mendeley", show_default=True)
@click.option("--url", help="Another address of the archive; --sha256 goes with it.")
@click.option("--sha256", metavar="HEX", help="SHA-256 that the archive must have.")
@click.option("--accept-unverified", is_flag=True, help="Take an archive whose hash is not known in advance.")
def fetch(out: Path, source: str, url: str | None, sha256: str | None, accept_unverified: bool) -> None:
    """Fetch the public data set and unpack it; run it again to go on after a break."""
    from pneumoscope.datasets.fetch.download import Download
    from pneumoscope.datasets.fetch.fetch import CITATION, LICENCE, MENDELEY, Place, fetch_archive, fetch_kaggle

    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise click.UsageError("--sha256: 64 hex digits are needed")
    if source == Place.KAGGLE and (url or sha256 or accept_unverified):
        raise click.UsageError("--url, --sha256 and --accept-unverified go with --source mendeley")
    click.echo(f"Licence: {LICENCE}\nCite: {CITATION}\n{RESEARCH_USE_ONLY}", err=True)
    if source == Place.KAGGLE:
        fetched = fetch_kaggle(out)
    else:
        expected = sha256.lower() if sha256 else None
        what = Download(url, expected) if url else dataclasses.replace(MENDELEY, sha256=expected or MENDELEY.sha256)
        fetched = fetch_archive(out, what, accept_unverified=accept_unverified)
    checksum = f", archive SHA-256 {fetched.sha256}" if fetched.sha256 else ""
    click.echo(f"{out}  {fetched.images} images{checksum}")


@data.command(short_help="Find leaks, duplicates, shortcuts, label errors.")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--out", type=_FOLDER, help="Folder for audit.json and index.html; else only print.")
@click.option("--predictions", type=_FILE, help="Out-of-sample predictions.csv, to screen the labels with.")
@click.option("--json", "as_object", is_flag=True, help="Print the findings as one JSON object.")
@click.option("--jobs", type=click.IntRange(min=1), help="Threads; as many as processors by default.")
@click.pass_context
def audit(
    ctx: click.Context, folder: Path, out: Path | None, predictions: Path | None, as_object: bool, jobs: int | None
) -> None:
    """Audit a data folder: patients, duplicates, leaks, shortcuts, suspected label errors.

    Exit status 1 when a leak would spoil an evaluation. The page shows the images: publish it only where
    they may be.
    """
    from pneumoscope.datasets.audit.audit import audit_folder
    from pneumoscope.datasets.audit.audit_page import as_json, write_audit
    from pneumoscope.datasets.audit.label_errors import read_predictions

    predicted = read_predictions(predictions) if predictions else None
    found = audit_folder(folder, predictions=predicted, jobs=jobs)
    page = None if out is None else write_audit(found, folder, out)[1]
    if as_object:
        click.echo(json.dumps(as_json(found), ensure_ascii=False))
    else:
        click.echo("\n".join(_summary(found)))
        if page is not None:
            click.echo(f"Page: {page}")
        click.echo(RESEARCH_USE_ONLY)
    ctx.exit(1 if found.leaks else 0)


def _summary(audit: Audit) -> list[str]:
    lines = [f"{count.split}/{count.label}: {count.images} images" for count in audit.counts]
    lines += [*audit.layout_problems]
    for kind, shared in audit.shared_patients.items():
        lines.append(f"Patients in more than one split, key '{kind}': {len(shared)}")
    for what, number in (
        ("Names that carry no patient", len(audit.unparsed_names)),
        ("Names that contradict their folder", len(audit.contradicting_names)),
        ("Groups of byte-identical files", len(audit.byte_duplicates)),
        ("Pairs of near duplicates", len(audit.near_duplicates)),
        ("Unreadable files", len(audit.unreadable)),
        ("Entries left out, no images", len(audit.left_out)),
        ("Odd sizes", len(audit.odd_sizes)),
        ("Odd modes", len(audit.odd_modes)),
    ):
        lines.append(f"{what}: {number}")
    lines += [f"Shortcut sign: {sign}" for sign in audit.shortcut_signs]
    lines += _without_lungs(audit.without_lungs)
    labels = audit.label_errors
    suspects = str(len(labels.suspects)) if labels.status == "computed" else f"{labels.status}, {labels.note}"
    lines.append(f"Suspected label errors: {suspects}")
    lines += [f"LEAK: {leak}" for leak in audit.leaks] or [_no_leak(audit)]
    return lines


def _without_lungs(found: WithoutLungs) -> list[str]:
    lungless = f"Images in which no lungs were found: {len(found.no_lungs_found)}"
    if found.auc is None:
        return [lungless, f"AUC without lungs: {found.status}, {found.note}"]
    low, high = found.auc_ci95 or (float("nan"), float("nan"))
    against = Counter(conflict.label for conflict in found.conflicting)
    return [
        lungless,
        f"AUC without lungs: {found.auc:.4f} ({low:.4f} to {high:.4f}) of {found.images} images, {found.patients} "
        f"patients; by the lungs' outline alone {found.auc_outline:.4f}, by their box alone {found.auc_box:.4f}",
        f"Images whose score without lungs contradicts the label: {against['NORMAL']} NORMAL at {found.limit:.3f} "
        f"or more, {against['PNEUMONIA']} PNEUMONIA below",
    ]


def _no_leak(audit: Audit) -> str:
    """What was looked for and not found; where no name carries a patient, patients could not be."""
    if audit.images and len(audit.unparsed_names) == audit.images:
        return (
            "No file in two splits or under two labels found. No name carries a patient, so whether patients leak "
            "could not be looked for."
        )
    return "No leak between splits or labels found."


@data.command(short_help="Split by patient; write a manifest.")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--out", type=_FILE, required=True, help="The manifest to write, a CSV file.")
@click.option("--folds", type=click.IntRange(min=2), default=10, show_default=True, help="Grouped folds.")
@click.option("--fold", type=click.IntRange(min=0), default=0, show_default=True, help="The fold held out.")
@click.option(
    "--ordered-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of each counter in the time-ordered slice.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the folds.")
@click.option("--key", type=click.Choice(["person", "agent"]), default="person", show_default=True, help="Patient key.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "val", "test"]),
    help="Split folders to pool; train and val by default.",
)
@click.option(
    "--shortcut/--no-shortcut",
    default=True,
    show_default=True,
    help="Score images without their lungs; mark those whose label that contradicts and spread them over the folds.",
)
def split(
    folder: Path,
    out: Path,
    folds: int,
    fold: int,
    ordered_fraction: float,
    seed: int,
    key: str,
    splits: tuple[str, ...],
    shortcut: bool,
) -> None:
    """Split by patient into training, a grouped fold and the time-ordered slice; write a manifest.

    Byte-identical files are dropped but the first. The test folder is left alone unless named.
    """
    from pneumoscope.datasets.checks import check_folder
    from pneumoscope.datasets.kermany import PatientKey
    from pneumoscope.datasets.layout import Split, official_splits
    from pneumoscope.datasets.manifest import manifest_hash, write_manifest
    from pneumoscope.datasets.splits import assign_roles, drop_byte_duplicates

    if fold >= folds:
        raise click.UsageError(f"--fold {fold}: with --folds {folds} it must be 0 to {folds - 1}")
    there = official_splits(folder)
    chosen: tuple[Split, ...] | None = tuple(map(Split, splits)) or None
    if chosen is None and there:
        chosen = tuple(name for name in there if name is not Split.TEST) or there
    checked = check_folder(folder, chosen, key=PatientKey(key))
    images = _scored(checked.images, seed) if shortcut else checked.images
    rows = assign_roles(
        images, seed=seed, folds=folds, fold=fold, ordered_fraction=ordered_fraction, hashes=checked.hashes
    )
    write_manifest(out, rows, folder)
    _, dropped = drop_byte_duplicates(checked.images, checked.hashes)
    for note in checked.notes:
        click.echo(note, err=True)
    unread = sum(not image.patient_known for image in checked.images)
    if unread:
        click.echo(
            f"Names that carry no patient: {unread}; each of these files counts as its own patient, "
            "so whether patients leak is unknown.",
            err=True,
        )
    if all(image.order is None for image in checked.images):
        click.echo("Nothing says in which order the images were made: the time-ordered slice is left out.", err=True)
    click.echo("\n".join(_split_report(rows, len(dropped), chosen)), err=True)
    click.echo(f"{out}  {len(rows)} images, manifest hash {manifest_hash(rows)}")


def _scored(images: Sequence[LabelledImage], seed: int) -> Sequence[LabelledImage]:
    """The images with their shortcut scores; as they are, and a line that says why, where there can be none."""
    from pneumoscope.datasets.audit.shortcut import score_folder, with_scores
    from pneumoscope.errors import DataError

    try:
        found = score_folder(images, seed=seed)
    except DataError as error:
        click.echo(f"No shortcut scores: {error}.", err=True)
        return images
    if found.without_lungs:
        names = ", ".join(str(image.path) for image in found.without_lungs[:_LISTED])
        click.echo(
            f"Images in which no lungs were found, so without a score: {len(found.without_lungs)}: {names}", err=True
        )
    click.echo(
        f"AUC without lungs {found.summary.auc:.4f}; conflicting images: {int(found.conflicting.sum())}", err=True
    )
    return with_scores(images, found)


def _split_report(rows: Sequence[LabelledImage], dropped: int, chosen: Sequence[Split] | None) -> list[str]:
    from pneumoscope.datasets.source import Role

    lines = [f"From {', '.join(chosen) if chosen else 'the class folders'}; {dropped} byte-identical files dropped."]
    scored = any(row.conflicting is not None for row in rows)
    for role in Role:
        group = [row for row in rows if row.role is role]
        classes = Counter(row.label.value for row in group)
        subtypes = Counter(row.subtype or "unknown" for row in group)
        patients = len({row.patient for row in group})
        lines.append(
            f"{role}: {len(group)} images of {patients} patients; "
            f"{', '.join(f'{name} {number}' for name, number in sorted(classes.items()))}; "
            f"{', '.join(f'{name} {number}' for name, number in sorted(subtypes.items()))}"
            + (f"; conflicting {sum(row.conflicting is True for row in group)}" if scored else "")
        )
    return lines

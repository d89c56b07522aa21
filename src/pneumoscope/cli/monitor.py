"""``pneumoscope monitor``: compare a month's records with a reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import FILE
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.wording import share

if TYPE_CHECKING:
    from pneumoscope.monitoring.drift import Change, Drift
    from pneumoscope.monitoring.records import Sample


@click.command()
@click.argument("baseline", type=FILE, metavar="BASELINE")
@click.argument("records", type=FILE, metavar="RECORDS")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    metavar="A",
    help="Chance of an alarm where nothing has changed, at most.",
)
@click.pass_context
def monitor(ctx: click.Context, baseline: Path, records: Path, out: Path, false_alarms: float) -> None:
    """Compare RECORDS with those of a BASELINE period: scores, typicality, lung box, refusals, notes.

    Both are lines of `pneumoscope predict --json`, a predictions.csv, or a log of `pneumoscope serve --log-scores`.
    Writes index.html, drift.json and drift.prom (for Prometheus's textfile collector) to DIR. The exit status is 1
    where something drifted.
    """
    from pneumoscope.files import make_folder, write_atomically
    from pneumoscope.monitoring.drift import check_same_model, compare
    from pneumoscope.monitoring.page import prometheus, render
    from pneumoscope.monitoring.records import read_records

    samples = read_records(baseline), read_records(records)
    for sample in samples:
        _say_unreadable(sample)
    model = check_same_model(*samples)
    if model is None:
        click.echo("not both files name their model: make sure that it is the same", err=True)
    drift = compare(*samples, false_alarms)
    make_folder(out)
    write_atomically(out / "index.html", render(drift, *samples, model).encode())
    content = {"model": model, "baseline": samples[0].n, "records": samples[1].n, **drift.to_json()}
    write_atomically(out / "drift.json", (json.dumps(content, indent=2) + "\n").encode())
    write_atomically(out / "drift.prom", prometheus(drift, model).encode())
    click.echo(_table(drift))
    click.echo(f"page  {out / 'index.html'}\n{RESEARCH_USE_ONLY}")
    if drift.found:
        ctx.exit(FAILED)


def _say_unreadable(sample: Sample) -> None:
    if sample.unreadable:
        click.echo(
            f"{sample.file}: {sample.unreadable} lines hold no record and are left out, the first is line "
            f"{sample.first_unreadable}",
            err=True,
        )


def _table(drift: Drift) -> str:
    lines = [f"{'what':<44} {'baseline':>9} {'records':>9}  difference"]
    lines += [_row(change) for change in drift.changes]
    names = ", ".join(change.name for change in drift.changes if change.drifted)
    lines.append(f"\n{f'drift: {names}' if names else 'no drift found'}")
    lines.append(f"at most {share(drift.false_alarms)} of comparisons raise an alarm where nothing has changed")
    return "\n".join(lines)


def _row(change: Change) -> str:
    name = change.name if len(change.name) <= 44 else f"{change.name[:41]}..."
    if change.is_share:
        told = f"{share(change.baseline):>9} {share(change.now):>9}  {100 * change.effect:+.1f} points"
    else:
        told = f"{change.baseline:>9.3f} {change.now:>9.3f}  D = {change.effect:.3f}"
    return f"{name:<44} {told}{'  drift' if change.drifted else ''}"

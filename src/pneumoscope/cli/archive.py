"""``pneumoscope archive``: score whole archives in shards that survive a kill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import model_option, open_model, operating_point_option
from pneumoscope.model.contract import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from pneumoscope.archive.plan import Plan
    from pneumoscope.archive.records import ShardTables
    from pneumoscope.archive.summary import Summary


@click.group()
def archive() -> None:
    """Score whole archives of radiographs, resumably and to the same bytes whatever the number of workers."""


@archive.command()
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the results.")
@model_option
@operating_point_option
@click.option("--engine", type=click.Choice(["ray", "local"]), help="Ray where it is installed, else local processes.")
@click.option("--address", metavar="auto|local|HOST", help="Ray cluster to join; by default Ray starts here.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Inputs judged at the same time.")
@click.option("--resume", is_flag=True, help="Go on with the job in DIR; files that changed since are scored again.")
@click.option("--where", metavar="COLUMN=VALUE", help="Rows of a manifest to take.")
@click.option("--column", default="path", show_default=True, help="Column of a manifest that holds the paths.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take the first N inputs only.")
@click.option("--heatmaps", is_flag=True, help="Keep heatmaps as arrays.")
@click.option("--shard-size", type=click.IntRange(1, 100_000), default=256, show_default=True, help="Inputs a shard.")
@click.option("--item-timeout", type=float, default=120.0, show_default=True, help="Seconds that an input may take.")
@click.option("--dry-run", is_flag=True, help="Count, score a few, say what the whole would take; write nothing.")
@click.pass_context
def score(
    ctx: click.Context,
    source: str,
    out: Path,
    model_file: Path | None,
    operating_point: str | None,
    engine: str | None,
    address: str | None,
    workers: int,
    resume: bool,
    where: str | None,
    column: str,
    limit: int | None,
    heatmaps: bool,
    shard_size: int,
    item_timeout: float,
    dry_run: bool,
) -> None:
    """Score every image of SOURCE into Parquet tables in DIR.

    SOURCE is a folder, a manifest (.csv, .parquet), a tar or ZIP of images, an address that fsspec knows
    (s3://bucket/prefix) or a DICOMweb server (dicomweb+https://host/dicom-web). The exit status is 1 if an input was
    refused or failed; its record says why.
    """
    from pneumoscope.archive.engines import Engine
    from pneumoscope.archive.job import Settings, begin_job
    from pneumoscope.archive.score import estimate, score_archive
    from pneumoscope.archive.summary import write_summary

    model = open_model(model_file, operating_point)
    settings = Settings(
        source=source,
        model=None if model_file is None else str(model_file),
        model_sha256=model.info.sha256,
        operating_point=operating_point,
        where=where,
        column=column,
        limit=limit,
        heatmaps=heatmaps,
        shard_size=shard_size,
    )
    if dry_run:
        cost = estimate(settings, workers)
        click.echo(f"{cost.inputs:,} inputs, {cost.size / 1e6:,.1f} MB, {cost.repeated:,} listed again")
        click.echo(f"{cost.seconds_each:.3f} s an input, about {cost.hours:.2f} hours with {workers} workers")
        return
    chosen = Engine(engine) if engine else (Engine.RAY if address or _has_ray() else Engine.LOCAL)
    job = begin_job(out, settings, resume=resume)
    bar = _Progress()
    try:
        outcome = score_archive(
            job,
            engine=chosen,
            workers=workers,
            address=address,
            seconds=item_timeout,
            listed=bar.listed,
            done=bar.committed,
        )
    finally:
        bar.close()
    if outcome.stale:
        click.echo(f"{outcome.stale} shards scored again: files in them changed", err=True)
    _say(write_summary(out), out)
    click.echo(RESEARCH_USE_ONLY, err=True)
    if outcome.scored["refused"] or outcome.scored["error"]:
        ctx.exit(FAILED)


@archive.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def summary(folder: Path) -> None:
    """Summarise the results in DIR, of a finished job or of one under way."""
    from pneumoscope.archive.summary import write_summary

    _say(write_summary(folder), folder)
    click.echo(RESEARCH_USE_ONLY, err=True)


def _say(summary: Summary, folder: Path) -> None:
    parts = [f"{number:,} {name}" for name, number in (*summary.labels.most_common(), *summary.statuses.most_common())]
    click.echo(f"{summary.inputs:,} of {summary.planned:,} inputs: {', '.join(parts)}")
    for reason, number in summary.reasons.most_common(10):
        click.echo(f"  {number:,}  {reason}")
    if summary.duplicate_groups:
        click.echo(f"{summary.duplicate_groups:,} groups of byte-identical inputs")
    click.echo(f"{folder / 'summary.html'}")


def _has_ray() -> bool:
    from importlib.util import find_spec

    return find_spec("ray") is not None


class _Progress:
    """One bar on standard error: first the list, then inputs with rate, time left and errors."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc="Listing", unit=" inputs", file=sys.stderr, disable=None)
        self._failed = 0

    def listed(self, number: int) -> None:
        self._bar.update(number)

    def committed(self, plan: Plan, tables: ShardTables | None) -> None:
        if tables is None:
            self._bar.set_description("Scoring")
            self._bar.reset(total=plan.inputs)
            return
        self._failed += sum(number for status, number in tables.counts.items() if status != "ok")
        self._bar.set_postfix(not_judged=self._failed, refresh=False)
        self._bar.update(sum(tables.counts.values()))

    def close(self) -> None:
        self._bar.close()

"""``pneumoscope models``: which models there are, and what a model file holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pneumoscope.cli.opening import FILE, built_in_files, read_model_package
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.wording import share

if TYPE_CHECKING:
    from pneumoscope.model.contract import CalibrationRecord, Contract, OperatingPoint
    from pneumoscope.model.operating_point import PopulationRates
    from pneumoscope.model.packaging import ModelPackage

json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List the models that come with Pneumoscope, or show what a model file holds."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@models.command("list")
@json_option
def list_models(as_json: bool = False) -> None:
    """List the models that come with Pneumoscope."""
    rows = [_summary(name, content) for name, content in built_in_files().items()]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    for row in rows:
        click.echo(
            f"{row['file']}  {row['name']} {row['version']}  {row['parameters']:,} parameters, {row['quantization']}, "
            f"{row['bytes'] / 1e6:.1f} MB"
        )
    click.echo(RESEARCH_USE_ONLY)


@models.command()
@click.argument("file", required=False, type=FILE, metavar="[FILE]")
@json_option
def show(file: Path | None, as_json: bool) -> None:
    """Show the contract, the signature and the card of a model FILE; the built-in model by default."""
    package, _ = read_model_package(file)
    contract, signature = package.contract, _signature(package.graph)
    if as_json:
        record = {"sha256": package.sha256, "contract": json.loads(contract.to_json()), "signature": signature}
        click.echo(json.dumps({**record, "card": package.card}))
        return
    click.echo(f"{contract.name} {contract.version}")
    for name, value in _facts(package):
        click.echo(f"  {name:<18}{value}")
    for kind, tensors in signature.items():
        click.echo(f"{kind}")
        for tensor in tensors:
            click.echo(f"  {tensor['name']:<18}{tensor['dtype']} {tensor['shape']}")
    click.echo("operating points")
    for line in describe_points(contract):
        click.echo(line)
    click.echo(f"\n{package.card.strip()}\n\n{RESEARCH_USE_ONLY}")


def describe_points(contract: Contract) -> Iterator[str]:
    """Every operating point with its rates by population, and the band in which the model does not know."""
    for name, point in contract.operating_points.items():
        mark = "  (default)" if name == contract.default_operating_point else ""
        yield f"  {name:<18}{contract.labels[1]} from {point.threshold:.4f} on: {_rates(point)}{mark}"
        for rates in point.populations:
            yield f"    {rates.population} ({rates.pneumonias} and {rates.normals}): {_rates(rates)}"
    if (band := contract.conformal) is not None:
        promised = (
            f"both labels stay open from {band.lower:.4f} to {band.upper:.4f}, for {share(band.coverage)} coverage"
        )
        yield f"uncertain\n  {promised} of each class"
        for entry in band.populations:
            low, high = (share(end) for end in entry.ci95)
            yield (
                f"    {entry.population}, {entry.label} ({entry.n}): coverage "
                f"{share(entry.coverage)} ({low} to {high}), uncertain {share(entry.uncertain)}"
            )


def _rates(point: OperatingPoint | PopulationRates) -> str:
    parts = []
    for name in ("sensitivity", "specificity"):
        interval = "" if point.ci95 is None else " ({} to {})".format(*(share(end) for end in point.ci95[name]))
        parts.append(f"{name} {share(getattr(point, name))}{interval}")
    return ", ".join(parts)


def _facts(package: ModelPackage) -> list[tuple[str, str]]:
    contract, provenance = package.contract, package.contract.provenance
    return [
        ("sha256", package.sha256),
        ("graph sha256", contract.graph_sha256),
        ("parameters", f"{contract.parameters:,}"),
        ("numbers", contract.quantization.value),
        ("input", f"{contract.input_width} x {contract.input_height} grey, {contract.resize_filter.value}"),
        ("labels", ", ".join(contract.labels + tuple(f"subtype {name}" for name in contract.subtypes))),
        ("typicality", f"at least {contract.typicality_limit:.4f}, else refused"),
        ("trained", f"recipe {provenance.recipe}, seed {provenance.seed}, epoch {provenance.epoch}"),
        ("data manifest", provenance.manifest_sha256),
        ("versions", ", ".join(f"{name} {version}" for name, version in provenance.versions.items())),
        *([] if contract.calibration is None else [("calibrated", _calibrated(contract.calibration))]),
        ("intended use", contract.intended_use),
    ]


def _calibrated(record: CalibrationRecord) -> str:
    weighting = f", {record.weighting}" if record.weighting else ""
    return (
        f"to a prevalence of {share(record.prevalence)} on {record.source} ({record.pneumonias} pneumonias, "
        f"{record.normals} normals{weighting})"
    )


def _signature(graph: bytes) -> dict[str, list[dict[str, Any]]]:
    """Names, shapes and types of what the graph takes and gives, as LiteRT reads them."""
    from ai_edge_litert.interpreter import Interpreter

    from pneumoscope.model.runtime import SIGNATURE

    runner = Interpreter(model_content=graph).get_signature_runner(SIGNATURE)
    return {
        kind: [
            {"name": name, "dtype": tensor["dtype"].__name__, "shape": [int(side) for side in tensor["shape"]]}
            for name, tensor in details.items()
        ]
        for kind, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details()))
    }


def _summary(file: str, content: bytes) -> dict[str, Any]:
    from pneumoscope.model.packaging import unpack

    package = unpack(content, file)
    return {
        "file": file,
        "name": package.contract.name,
        "version": package.contract.version,
        "parameters": package.contract.parameters,
        "quantization": package.contract.quantization.value,
        "bytes": len(content),
        "sha256": package.sha256,
    }

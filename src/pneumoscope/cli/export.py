"""``pneumoscope export``: a trained run as one-file models."""

from __future__ import annotations

from pathlib import Path

import click

from pneumoscope.contract import Quantization

_FORMATS = ("all", "litert", "keras")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="all", show_default=True)
@click.option(
    "--quantization",
    type=click.Choice(["all", *(kind.value for kind in Quantization)]),
    default=Quantization.FLOAT32.value,
    show_default=True,
    help="Numbers that the one-file model computes with.",
)
def export(run: Path, out: Path, form: str, quantization: str) -> None:
    """Write RUN's best weights as one-file models (.tflite), .keras and .h5, and prove that they agree.

    Every one-file model is compared with Keras on the validation radiographs; parity.json says how they
    differ, and a model that breaks its limits is not written.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from pneumoscope.export.one_file import export_run
    from pneumoscope.training.runs import RunFolder

    wanted = list(Quantization) if quantization == "all" else [Quantization(quantization)]
    exported = export_run(RunFolder(run), out, wanted if form != "keras" else [], keras_too=form != "litert")
    for parity in exported.parity:
        file = exported.models[parity.quantization]
        click.echo(
            f"{file}: {file.stat().st_size / 1e6:.2f} MB, at most {parity.largest_difference:.1g} from Keras on "
            f"{parity.n} radiographs, {max(parity.flips.values())} decisions flip, heatmap correlation "
            f"{parity.heatmap_correlation:.4f}"
        )
    for file in exported.keras_files:
        click.echo(f"{file}: {file.stat().st_size / 1e6:.2f} MB")

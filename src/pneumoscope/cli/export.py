"""``pneumoscope export``: a trained run as one-file models."""

from __future__ import annotations

from pathlib import Path

import click

from pneumoscope.export.forms import ExportFormat
from pneumoscope.model.contract import RESEARCH_USE_ONLY, Quantization


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["all", *(form.value for form in ExportFormat)]),
    default="all",
    show_default=True,
    help="litert: one-file models. mediapipe: for MediaPipe Tasks' ImageClassifier. keras: .keras and .h5.",
)
@click.option(
    "--quantization",
    type=click.Choice(["all", *(kind.value for kind in Quantization)]),
    default=Quantization.FLOAT32.value,
    show_default=True,
    help="Numbers that the one-file models compute with.",
)
def export(run: Path, out: Path, form: str, quantization: str) -> None:
    """Write RUN's best weights as models for phones, Python and servers, and prove that they agree.

    Every one-file model is compared with Keras on the validation radiographs; parity.json and parity.html say
    how they differ. A model that breaks its limits is not written, and the command fails.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pneumoscope.export.exporter import export_run
    from pneumoscope.training.run_folder import RunFolder

    exported = export_run(
        RunFolder(run),
        out,
        list(Quantization) if quantization == "all" else [Quantization(quantization)],
        list(ExportFormat) if form == "all" else [ExportFormat(form)],
    )
    files = list(exported.models.values())
    for parity, file in zip(exported.parity, files, strict=True):
        heatmaps = (
            "" if parity.heatmap_correlation is None else (f", heatmap correlation {parity.heatmap_correlation:.4f}")
        )
        click.echo(
            f"{file}: {file.stat().st_size / 1e6:.2f} MB, at most {parity.largest_difference:.1g} from Keras on "
            f"{parity.n} radiographs, {max(change.count for change in parity.flips.values())} decisions flip{heatmaps}"
        )
    for file in exported.others:
        click.echo(f"{file}: {_bytes(file) / 1e6:.2f} MB")
    click.echo(RESEARCH_USE_ONLY)


def _bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())

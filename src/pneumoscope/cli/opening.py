"""What every command that judges does first: its options, and opening the model."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pneumoscope.errors import UsageError

if TYPE_CHECKING:
    from pneumoscope.model.classifier import Model
    from pneumoscope.model.packaging import ModelPackage

MODEL_ENDING: Final = ".tflite"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

model_option = click.option(
    "--model", "model_file", type=FILE, metavar="FILE", help="One-file model (.tflite); the built-in one by default."
)
operating_point_option = click.option(
    "--operating-point", metavar="NAME", help="Threshold to decide by; the model's default if not given."
)


class Prevalence(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """A share of patients, strictly between 0 and 1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; say what is wrong with a percentage or a word."""
        from pneumoscope.model.post_test import check_prevalence

        try:
            return check_prevalence(float(value))
        except ValueError:
            self.fail(f"{value!r} is not a number; write the share of patients with pneumonia, such as 0.1", param, ctx)
        except UsageError as error:
            self.fail(str(error), param, ctx)


prevalence_option = click.option(
    "--prevalence",
    type=Prevalence(),
    metavar="P",
    help="Share of your patients who have pneumonia (0 to 1): say what each score means there.",
)


def open_model(file: Path | None, operating_point: str | None = None) -> Model:
    """Open a model and check that it has an operating point.

    Args:
        file: the one-file model; ``None`` for the built-in one.
        operating_point: name; ``None`` for the model's default.

    Raises:
        UsageError: the model has no operating point of that name.
        ModelError: the file is not a sound one-file model.
    """
    from pneumoscope.model.classifier import load_model

    model = load_model(file)
    if operating_point is not None and operating_point not in model.contract.operating_points:
        names = ", ".join(sorted(model.contract.operating_points))
        raise UsageError(f"operating point '{operating_point}': {model.contract.name} has {names}")
    return model


def built_in_files() -> dict[str, bytes]:
    """The models that come with Pneumoscope, by file name."""
    folder = resources.files("pneumoscope") / "models"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(MODEL_ENDING)}


def read_model_package(file: Path | None) -> tuple[ModelPackage, int]:
    """The parts of a model file and its size in bytes; of the built-in model for ``None``.

    Raises:
        ModelError: the file is not a sound one-file model.
    """
    from pneumoscope.model.classifier import BUILT_IN
    from pneumoscope.model.packaging import read_package, unpack

    if file is not None:
        return read_package(file), file.stat().st_size
    content = built_in_files()[BUILT_IN]
    return unpack(content, "built-in model"), len(content)

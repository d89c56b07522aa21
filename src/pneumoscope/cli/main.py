"""The entry point: which commands there are, and how they end.

Exit status: 0 all done; 1 some input was refused or failed, or a problem was found; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from pneumoscope.errors import MissingExtraError, PneumoscopeError, UsageError
from pneumoscope.model.contract import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""


@dataclass(frozen=True)
class Command:
    """Where a command is and what the overview says of it.

    Attributes:
        target: ``module:object`` of the click command, imported when the command is asked for.
        summary: one line.
        extra: optional dependency group that it needs, or ``None`` for the base install.
    """

    target: str
    summary: str
    extra: str | None = None


COMMANDS: Final[Mapping[str, Command]] = {
    "predict": Command("pneumoscope.cli.predict:predict", "Judge images, DICOM files and folders."),
    "explain": Command("pneumoscope.cli.explain:explain", "Draw where the model looked."),
    "demo": Command("pneumoscope.cli.demo:demo", "Judge real radiographs and show them on a page.", "demo"),
    "models": Command("pneumoscope.cli.models:models", "List models, or show what one file holds."),
    "bench": Command("pneumoscope.cli.bench:bench", "Measure how fast a model is on this machine."),
    "data": Command("pneumoscope.cli.data:data", "Fetch, audit and split training data.", "data"),
    "train": Command("pneumoscope.cli.train:train", "Train a recipe.", "train"),
    "evaluate": Command("pneumoscope.cli.evaluate:evaluate", "Measure a model on labelled images.", "evaluate"),
    "calibrate": Command(
        "pneumoscope.cli.calibrate:calibrate", "Calibrate a model on your own labelled images.", "evaluate"
    ),
    "monitor": Command("pneumoscope.cli.monitor:monitor", "Compare records with a baseline.", "evaluate"),
    "export": Command("pneumoscope.cli.export:export", "Write a trained run as a one-file model.", "train"),
    "serve": Command("pneumoscope.cli.serve:serve", "Serve the web page and the web API.", "web"),
    "pacs": Command("pneumoscope.cli.pacs:pacs", "Stand between a hospital's archive and the model.", "pacs"),
    "archive": Command("pneumoscope.cli.archive:archive", "Score whole archives, resumably.", "archive"),
    "app": Command("pneumoscope.cli.app:app", "Serve the page that judges on the device itself."),
    "ui": Command("pneumoscope.cli.serve:ui", "Open the Gradio page.", "ui"),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for, and turns our exceptions into one line and a status.

    Args:
        commands: by name.
    """

    def __init__(self, *args: Any, table: Mapping[str, Command] = COMMANDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command.

        Raises:
            MissingExtraError: it needs an extra that is not installed.
        """
        if cmd_name not in self._table:
            return None
        entry = self._table[cmd_name]
        module, _, attribute = entry.target.partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise _as_missing_extra(error, cmd_name, entry) from error
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a slip of the pen is answered with the name that was meant."""
        close = [] if args[0] in self._table else difflib.get_close_matches(args[0], self._table, n=1)
        if close and not ctx.resilient_parsing:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{close[0]}'?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names from the table, importing nothing; also where an extra is missing."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=command.summary)
            for name, command in self._table.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the overview from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in self._table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an exception that we raise on purpose ends as one line on standard error."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise _WrongUsage(str(error)) from error
        except PneumoscopeError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            name = ctx.invoked_subcommand or ""
            explained = _as_missing_extra(error, name, self._table[name]) if name in self._table else error
            if explained is error:
                raise
            raise click.ClickException(str(explained)) from error
        except OSError as error:
            raise _unwritable(error) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


_NOT_ALLOWED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


def _unwritable(error: OSError) -> click.ClickException:
    """A full disk, or a place that may not be written, as one line; a pipe that closed is the shell's business."""
    if error.errno == errno.EPIPE:
        raise error
    where = error.filename or "standard output"
    where = where.decode("utf-8", "replace") if isinstance(where, bytes) else where
    message = f"{where}: cannot be used ({error.strerror or error})"
    return _WrongUsage(message) if error.errno in _NOT_ALLOWED else click.ClickException(message)


class _WrongUsage(click.ClickException):
    exit_code = WRONG_USAGE


def _as_missing_extra(error: ModuleNotFoundError, name: str, entry: Command) -> Exception:
    """What to tell the user; a module of ours that is missing stays what it is, a defect."""
    if entry.extra is None or (error.name or "").startswith("pneumoscope"):
        return error
    return MissingExtraError(f"`pneumoscope {name}` ({error.name} is not installed)", entry.extra)


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"pneumoscope {version('pneumoscope')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=f"Detect pneumonia in chest radiographs and show where the model looked.\n\n{RESEARCH_USE_ONLY}",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
def cli() -> None:
    """The command `pneumoscope`."""


def main() -> None:
    """Run the command line; the console script. Ends the process with the exit status."""
    try:
        try:
            cli(prog_name="pneumoscope")
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        # What was printed last did not fit: the interpreter would say so in its own words while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"Error: standard output: cannot be written ({error.strerror or error})", err=True)
        raise SystemExit(FAILED) from error

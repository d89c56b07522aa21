"""Every command and every piece of Python that the documents show is one that works."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import COMMANDS, cli
from pneumoscope.datasets.phantom import write_phantom_data
from support import phantom
from support.calibrated import calibrated_bytes

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "src/pneumoscope/training/recipes").glob("*.toml"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *RECIPES]

# A line of a code block, a comment of a recipe, or the end of a pipe.
LINE = re.compile(r"^(?:    |#   |.*\| )?pneumoscope (?P<words>[^`\n]+)$", re.MULTILINE)
INLINE = re.compile(r"`pneumoscope (?P<words>[^`]+)`")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"[A-Z_/-]+(\.\w+)?")

TESTED_ELSEWHERE = {
    "archive score": "needs an archive and minutes: tests/archive/test_jobs.py",
    "archive summary": "needs a job: tests/archive/test_jobs.py",
    "data fetch": "loads an archive: tests/datasets/test_fetch.py",
    "calibrate": "needs labelled radiographs: tests/cli/test_calibrate_command.py",
    "monitor": "needs two months of records: tests/monitoring",
    "demo": "tests/demo",
    "train": "minutes: tests/cli/test_train_command.py",
    "export": "needs a finished run: tests/cli/test_train_command.py",
    "serve": "stays: tests/serving",
    "ui": "stays: tests/serving",
    "app": "stays: tests/serving/test_on_device.py",
    "pacs check": "tests/pacs/test_quick_start.py",
    "pacs serve": "stays: tests/pacs",
    "pacs watch": "stays: tests/pacs",
    "pacs status": "tests/pacs/test_quick_start.py",
    "pacs retry": "needs a queue: tests/pacs/test_gateway.py",
    "pacs purge": "needs a queue: tests/pacs/test_gateway.py",
}
EXECUTED = ("README.md", "start.md", "python.md", "own-data.md")


def words_of(line: str) -> list[str]:
    """A command line without its comment and without the brackets of what may be left out."""
    return shlex.split(re.sub(r"\s+#.*$", "", line).replace("[", "").replace("]", ""))


def shown(pattern: re.Pattern[str]) -> Iterator[tuple[str, list[str]]]:
    for document in DOCUMENTS:
        for match in pattern.finditer(document.read_text("utf-8")):
            for line in re.split(r"\s*&&\s*pneumoscope\s+", match["words"]):
                yield document.name, words_of(line)


def command_of(words: list[str]) -> tuple[str, click.Context, list[str]]:
    """The name of the innermost command, its context, and what is left of the words for it."""
    name, context, rest = "", click.Context(cli, info_name="pneumoscope"), list(words)
    while isinstance(context.command, click.Group) and rest and not rest[0].startswith("-"):
        command = context.command.get_command(context, rest[0])
        assert command is not None, f"there is no command {' '.join(words)}"
        context = click.Context(command, parent=context, info_name=rest[0])
        name, rest = f"{name} {rest[0]}".strip(), rest[1:]
    return name, context, rest


def check(words: list[str], *, whole: bool) -> None:
    """Fail on an option, a choice or an argument that the command does not know; if whole, on a missing one too."""
    if words[-1:] == ["..."]:
        words, whole = words[:-1], False
    _, context, rest = command_of(words)
    values, left, _ = context.command.make_parser(context).parse_args(rest)
    assert not left, f"{left}: not taken by {words}"
    for parameter in context.command.get_params(context):
        value = values.get(str(parameter.name))
        if whole and parameter.required:
            assert value not in (None, ()), f"{parameter.name}: missing in {words}"
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, str) and isinstance(parameter.type, click.Choice) and not PLACEHOLDER.fullmatch(one):
                parameter.type.convert(one, parameter, context)


@pytest.mark.parametrize(("document", "words"), list(shown(LINE)), ids=str)
def test_commands_in_blocks_are_whole(document: str, words: list[str]) -> None:
    check(words, whole=True)


@pytest.mark.parametrize(("document", "words"), list(shown(INLINE)), ids=str)
def test_commands_in_sentences_exist(document: str, words: list[str]) -> None:
    check(words, whole=False)


@pytest.mark.parametrize(
    "words",
    ["predict --no-such-option x", "explain x --method guess", "models show a b", "data split DATA", "no-such-command"],
)
def test_the_check_finds_what_is_wrong(words: str) -> None:
    with pytest.raises((AssertionError, click.ClickException)):
        check(shlex.split(words), whole=True)


def test_every_command_is_in_the_documents() -> None:
    documented = {words[0] for _, words in shown(LINE)}
    assert set(COMMANDS) <= documented


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    texts = [path.read_text("utf-8") for path in (*DOCUMENTS, ROOT / "CONTRIBUTING.md")]
    named = {name for text in texts for name in re.findall(r"^    make ([a-z]+)", text, flags=re.MULTILINE)}
    assert {"demo", "test"} <= named <= targets


def test_extras_in_the_documents_exist() -> None:
    import tomllib

    known = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    texts = [path.read_text("utf-8") for path in DOCUMENTS]
    named = {
        extra for text in texts for group in re.findall(r"pneumoscope\[([a-z,]+)\]", text) for extra in group.split(",")
    }
    assert {"dicom", "train"} <= named <= known


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the documents' commands name."""
    from pydicom.data import get_testdata_file

    folder = tmp_path_factory.mktemp("documents")
    shutil.copy(str(get_testdata_file("RG1_UNCR.dcm", download=False)), folder / "radiograph.dcm")
    for name, number in (("folder", 3), ("archive", 1)):
        (folder / name).mkdir()
        for seed in range(number):
            (folder / name / f"{seed}.png").write_bytes(phantom.encode(phantom.chest_phantom(256, seed)))
    for name, file_format in (("a.png", "PNG"), ("b.jpeg", "JPEG")):
        (folder / name).write_bytes(phantom.encode(phantom.chest_phantom(256, 9), file_format))
    model = ROOT / "src/pneumoscope/models/builtin.tflite"
    for name in ("model.tflite", "other.tflite", "exported/pneumonet-float32.tflite", "DIR/NAME-int8.tflite"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(model, folder / name)
    (folder / "calibrated.tflite").write_bytes(calibrated_bytes())
    write_phantom_data(folder / "DATA", patients=15, size=128)
    shutil.copytree(write_phantom_data(folder / "more", patients=3, size=160) / "train", folder / "DATA" / "test")
    for file in (folder / "DATA" / "test").rglob("*.png"):  # other patients than those of train
        file.rename(file.with_name(re.sub(r"(IM-0|person)(\d)", r"\g<1>9\2", file.name)))
    (folder / "predictions.csv").write_text("path,label,probability\na,NORMAL,0.1\nb,PNEUMONIA,0.8\nc,NORMAL,0.6\n")
    return folder


def quick() -> Iterator[str]:
    """Command lines that can be run here, without those whose options another line of that command has too."""
    kinds: dict[tuple[str, frozenset[str]], str] = {}
    for _, words in shown(LINE):
        name = command_of(words)[0]
        if name not in TESTED_ELSEWHERE and words[-1] != "...":
            kinds.setdefault((name, frozenset(word for word in words if word.startswith("--"))), " ".join(words))
    for (name, options), line in sorted(kinds.items(), key=lambda item: item[1]):
        if not any(other == name and options < more for other, more in kinds):
            yield line


@pytest.mark.parametrize("line", list(quick()))
def test_quick_commands_run(line: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    if "split.csv" in line and "data split" not in line:
        CliRunner().invoke(cli, ["data", "split", "DATA", "--out", "split.csv"])
    words = [re.sub(r"^N$", "1", word) for word in shlex.split(line)]
    result = CliRunner().invoke(cli, words, input="archive/0.png\n")
    # A drawn chest may be refused, which these report by their status.
    refused = words[0] == "evaluate" or "does not look like a frontal chest radiograph" in result.output
    assert result.exit_code in ((0, 1) if refused else (0,)), result.output
    assert not result.stderr.startswith("Error")


@pytest.mark.parametrize("name", EXECUTED)
def test_python_in_the_documents_runs(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = next(path for path in DOCUMENTS if path.name == name)
    monkeypatch.chdir(place)
    shutil.rmtree(place / "drawn", ignore_errors=True)
    names: dict[str, object] = {"paths": ["a.png", "b.jpeg"]}
    blocks = PYTHON.findall(document.read_text("utf-8"))
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), names)

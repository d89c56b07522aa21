"""The exceptions of Pneumoscope.

::

    PneumoscopeError
    ├── UsageError                 wrong arguments: nothing was judged (exit status 2)
    ├── MissingExtraError          an optional dependency is needed and not installed
    ├── InputError                 one input is at fault; all other inputs go on
    │   ├── UnreadableInputError   it could not be read: record status "error"
    │   └── RefusedInputError      it was read and cannot be judged: record status "refused"
    ├── ModelError
    │   ├── ModelFileError         not a one-file model, cut short, or changed since it was written
    │   └── ContractError          the contract inside a model cannot be honoured
    ├── DataError                  a data folder, manifest or split that cannot be used
    ├── TrainingError              a recipe, run folder or checkpoint that cannot be used
    ├── ArchiveError               an archive that cannot be listed, or an output folder of another job
    ├── ExportError                a model that cannot be exported, or whose parity limits broke
    └── GatewayError               the hospital gateway: its queue, its disk or the archive cannot be used now

Every message says what was wrong with which input and what to do about it.
"""

from __future__ import annotations


class PneumoscopeError(Exception):
    """Base of every error that Pneumoscope raises on purpose."""


class UsageError(PneumoscopeError):
    """The call itself is wrong (unknown option value, empty folder): nothing was judged."""


class MissingExtraError(PneumoscopeError):
    """An optional dependency is not installed."""

    def __init__(self, needed_for: str, extra: str) -> None:
        """Name what needs the dependency and the extra that brings it."""
        super().__init__(f"{needed_for} needs the '{extra}' extra: pip install 'pneumoscope[{extra}]'")
        self.extra = extra


class InputError(PneumoscopeError):
    """One input is at fault; the work on all others goes on.

    Attributes:
        sha256: hash of the input's bytes, 64 hex digits; ``None`` where no byte could be read.
    """

    sha256: str | None = None


class UnreadableInputError(InputError):
    """The input could not be read: missing, empty, truncated, or not an image."""


class RefusedInputError(InputError):
    """The input was read, but no judgement can be given on it.

    Attributes:
        reasons: why, one sentence each.
    """

    def __init__(self, *reasons: str) -> None:
        """Take one or more reasons in words."""
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class ModelError(PneumoscopeError):
    """A model cannot be used."""


class ModelFileError(ModelError):
    """The file is not a one-file model, is cut short, or was changed after it was written."""


class ContractError(ModelError):
    """The contract inside a model is malformed, too new, or does not fit its graph."""


class DataError(PneumoscopeError):
    """A data folder, manifest or split cannot be used as it is."""


class TrainingError(PneumoscopeError):
    """A recipe, run folder or checkpoint cannot be used."""


class ArchiveError(PneumoscopeError):
    """An archive cannot be listed, or its output folder belongs to another job."""


class ExportError(PneumoscopeError):
    """A model cannot be exported, or the exported file breaks its parity limits."""


class GatewayError(PneumoscopeError):
    """The hospital gateway's queue, its disk or the archive cannot be used now; what was taken on stays queued."""

"""The gateway's settings: one TOML file, checked when it is read; passwords come from the environment alone."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from pneumoscope.errors import UsageError
from pneumoscope.pacs.guards import Guards

ARCHIVE_PASSWORD: Final = "PNEUMOSCOPE_PACS_ARCHIVE_PASSWORD"  # noqa: S105 - the variable's name
WATCH_PASSWORD: Final = "PNEUMOSCOPE_PACS_WATCH_PASSWORD"  # noqa: S105 - the variable's name

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
AE_TITLE_LENGTH: Final = 16


class ArchiveKind(StrEnum):
    """How results travel to the archive."""

    DICOM = "dicom"
    """C-STORE, with storage commitment by N-ACTION and N-EVENT-REPORT."""
    DICOMWEB = "dicomweb"
    """STOW-RS, confirmed by finding the objects again with QIDO-RS."""


class WatchKind(StrEnum):
    """What the gateway follows to learn of new images."""

    ORTHANC = "orthanc"
    """Orthanc's list of changes."""
    DICOMWEB = "dicomweb"
    """Any DICOMweb server, asked by QIDO-RS again and again."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)


def _check_ae_title(title: str, where: str) -> None:
    sound = 0 < len(title.strip()) <= AE_TITLE_LENGTH and title.isascii() and title.isprintable() and "\\" not in title
    _require(sound, f"{where}: {title!r} is no AE title; 1 to {AE_TITLE_LENGTH} ASCII characters, no backslash")


def _check_url(url: str, where: str) -> None:
    _require(url.startswith(("http://", "https://")), f"{where}: {url!r} must start with http:// or https://")
    host = url.split("//", 1)[1].split("/", 1)[0]
    _require("@" not in host, f"{where}: put no password into the URL; set user here and the password's variable")


@dataclass(frozen=True)
class Tls:
    """Certificates of one side; both sides always show one. TLS 1.2 or later, ciphers of BCP 195.

    Attributes:
        certificate: own certificate chain, PEM.
        key: its private key, PEM.
        authority: certificates that the other side's must lead to, PEM.
    """

    certificate: Path
    key: Path
    authority: Path

    def __post_init__(self) -> None:
        """Refuse files that are not there: better now than at the first image."""
        for entry in dataclasses.fields(self):
            file = getattr(self, entry.name)
            _require(file.is_file(), f"tls.{entry.name}: {file} is no file")


@dataclass(frozen=True)
class Receive:
    """The storage SCP.

    Attributes:
        ae_title: called AE title; associations to another are refused.
        host: address to listen on.
        port: to listen on.
        calling_ae_titles: that may connect; empty for any, on loopback only.
        tls: certificates; asked for unless on loopback.
        allow_unprotected: listen beyond loopback without TLS, on a network that is protected otherwise.
        maximum_associations: at a time.
        maximum_megabytes: of one image.
        images_per_minute: from one calling AE title.
        minimum_free_megabytes: on the spool's disk; images are refused (0xA700) when less is left.
        idle_seconds: after which a silent association is aborted.
    """

    ae_title: str = "PNEUMOSCOPE"
    host: str = "127.0.0.1"
    port: int = 11112
    calling_ae_titles: tuple[str, ...] = ()
    tls: Tls | None = None
    allow_unprotected: bool = False
    maximum_associations: int = 10
    maximum_megabytes: int = 256
    images_per_minute: int = 1200
    minimum_free_megabytes: int = 1024
    idle_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot be listened with, and what lets anybody in."""
        for title in (self.ae_title, *self.calling_ae_titles):
            _check_ae_title(title, "receive")
        _require(0 <= self.port < 65536, f"receive.port: {self.port} is not 0 to 65535")
        if self.host not in LOOPBACK:
            _require(
                bool(self.calling_ae_titles),
                f"receive.host: other machines can reach {self.host}; list who may connect in calling_ae_titles",
            )
            _require(
                self.tls is not None or self.allow_unprotected,
                f"receive.host: other machines can reach {self.host}; give [receive.tls], or set allow_unprotected "
                "where the network is protected otherwise",
            )


@dataclass(frozen=True)
class Archive:
    """Where results go.

    Attributes:
        kind: of connection.
        ae_title: called AE title of the archive (DICOM).
        host: of the archive (DICOM).
        port: of the archive (DICOM).
        tls: certificates (DICOM).
        url: root of the DICOMweb service (DICOMweb).
        user: of the DICOMweb service; its password is in ``PNEUMOSCOPE_PACS_ARCHIVE_PASSWORD``.
        commitment: ask the archive whether it keeps what it took, and send again what it does not.
        timeout_seconds: for each answer.
        password: from the environment.
    """

    kind: ArchiveKind = ArchiveKind.DICOM
    ae_title: str = "ORTHANC"
    host: str = "127.0.0.1"
    port: int = 4242
    tls: Tls | None = None
    url: str = ""
    user: str = ""
    commitment: bool = True
    timeout_seconds: float = 30.0
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse half an address."""
        if self.kind is ArchiveKind.DICOMWEB:
            _check_url(self.url, "archive.url")
        else:
            _check_ae_title(self.ae_title, "archive.ae_title")


@dataclass(frozen=True)
class Watch:
    """What is followed for new images.

    Attributes:
        kind: of server.
        url: Orthanc's REST root, or the root of a DICOMweb service.
        user: of the server; its password is in ``PNEUMOSCOPE_PACS_WATCH_PASSWORD``.
        interval_seconds: between questions when there is nothing new.
        days_back: studies of how many days are asked for (DICOMweb).
        from_now: begin with what comes, not with what is there (Orthanc).
        fetchers: downloads at a time.
        timeout_seconds: for each answer.
        password: from the environment.
    """

    kind: WatchKind = WatchKind.ORTHANC
    url: str = "http://127.0.0.1:8042"
    user: str = ""
    interval_seconds: float = 1.0
    days_back: int = 1
    from_now: bool = False
    fetchers: int = 2
    timeout_seconds: float = 30.0
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        _check_url(self.url, "watch.url")
        _require(self.fetchers >= 1, "watch.fetchers: at least 1 needed")


@dataclass(frozen=True)
class Judging:
    """How images are judged.

    Attributes:
        model: one-file model; the built-in one for ``None``.
        operating_point: name of a threshold; the model's default for ``None``.
        workers: processes that judge.
        attempts: an image that ends its worker this often is given up.
        report_refusals: write a report, "not evaluated", for what is not judged; else stay silent.
    """

    model: Path | None = None
    operating_point: str | None = None
    workers: int = 1
    attempts: int = 3
    report_refusals: bool = False

    def __post_init__(self) -> None:
        """Refuse no workers and no attempts."""
        _require(self.workers >= 1, "judging.workers: at least 1 needed")
        _require(self.attempts >= 1, "judging.attempts: at least 1 needed")


@dataclass(frozen=True)
class Retry:
    """When something is tried again.

    Attributes:
        first_seconds: after the first failure; doubled after each further one.
        longest_seconds: the delay never grows beyond.
        refusals: an object that the archive refuses, or loses again, this often is given up; an archive that cannot
            be reached is tried for ever.
        commitment_seconds: how long the archive may take to confirm before it is asked again.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 300.0
    refusals: int = 8
    commitment_seconds: float = 60.0

    def delay(self, attempts: int) -> float:
        """Seconds to wait after so many failures, from 1 on."""
        return float(min(self.longest_seconds, self.first_seconds * 2 ** min(attempts - 1, 30)))


@dataclass(frozen=True)
class StatusPage:
    """The page for the people who run the gateway; on loopback only.

    Attributes:
        port: to listen on; 0 for no page.
        identity: show accession numbers and study UIDs among the last results.
    """

    port: int = 8043
    identity: bool = False


@dataclass(frozen=True)
class Settings:
    """Everything the gateway is told.

    Attributes:
        spool: folder of queue, images and results; made where it is missing, for its owner alone.
        receive: storage SCP; also answers storage commitment.
        archive: where results go.
        watch: what ``pacs watch`` follows.
        judging: how images are judged.
        population: what is judged at all.
        retry: when something is tried again.
        status: the page.
        audit_log: file for the audit trail; standard error for ``None``.
        keep_days: how long files are kept after the archive confirmed their results, before ``pacs purge`` and the
            running gateway delete them.
    """

    spool: Path
    receive: Receive = field(default_factory=Receive)
    archive: Archive = field(default_factory=Archive)
    watch: Watch = field(default_factory=Watch)
    judging: Judging = field(default_factory=Judging)
    population: Guards = field(default_factory=Guards)
    retry: Retry = field(default_factory=Retry)
    status: StatusPage = field(default_factory=StatusPage)
    audit_log: Path | None = None
    keep_days: float = 0.0


def read_settings(file: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check a settings file. Relative paths in it are relative to its folder.

    Raises:
        UsageError: it cannot be read, is no TOML, or says something impossible; the message names the key.
    """
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: no TOML ({error})") from error
    try:
        settings = _build(Settings, content, "", file.resolve().parent)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    return dataclasses.replace(
        settings,
        archive=dataclasses.replace(settings.archive, password=environment.get(ARCHIVE_PASSWORD, "")),
        watch=dataclasses.replace(settings.watch, password=environment.get(WATCH_PASSWORD, "")),
    )


_Kind = TypeVar("_Kind")


def _build(kind: type[_Kind], values: Mapping[str, Any], where: str, folder: Path) -> _Kind:
    """A dataclass from a TOML table; unknown keys and wrong types are refused, not dropped."""
    hints = typing.get_type_hints(kind)
    hints.pop("password", None)
    for key in values:
        if key == "password":
            raise UsageError(f"{where}password: keep it out of the file; set {ARCHIVE_PASSWORD} or {WATCH_PASSWORD}")
        if key not in hints:
            close = difflib.get_close_matches(key, hints, n=1)
            raise UsageError(f"{where}{key}: unknown key" + (f"; did you mean '{close[0]}'?" if close else ""))
    if kind is Settings and "spool" not in values:
        raise UsageError("spool: missing; name a folder for queue, images and results")
    built = {key: _value(hints[key], value, f"{where}{key}", folder) for key, value in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        raise UsageError(f"{where.rstrip('.') or 'settings'}: {error}") from error


def _value(hint: Any, value: Any, where: str, folder: Path) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = (choice for choice in typing.get_args(hint) if choice is not type(None))
    if dataclasses.is_dataclass(hint):
        _require(isinstance(value, dict), f"{where}: a table is needed")
        return _build(typing.cast(type, hint), value, f"{where}.", folder)
    if typing.get_origin(hint) is tuple:
        sound = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        _require(sound, f"{where}: a list of texts is needed")
        return tuple(value)
    if hint is Path:
        _require(isinstance(value, str) and value != "", f"{where}: a path is needed")
        return folder / value
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        choices = [member.value for member in hint]
        _require(value in choices, f"{where}: {value!r} is none of {', '.join(choices)}")
        return hint(value)
    if hint is float:
        sound = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9
        _require(sound, f"{where}: {value!r} is no number from 0 on")
        return float(value)
    if hint is int:
        sound = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        _require(sound, f"{where}: {value!r} is no whole number from 0 on")
        return value
    _require(isinstance(value, hint), f"{where}: {value!r} is no {'text' if hint is str else 'true or false'}")
    return value

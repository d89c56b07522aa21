"""Settings: refused with the key's name, or taken as they stand."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pneumoscope.errors import UsageError
from pneumoscope.pacs.guards import Unknown
from pneumoscope.pacs.settings import ARCHIVE_PASSWORD, ArchiveKind, Receive, Retry, Settings, read_settings


def read(tmp_path: Path, text: str, **environment: str) -> Settings:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return read_settings(file, environment)


def test_defaults_are_loopback_and_paths_are_the_files(tmp_path: Path) -> None:
    settings = read(tmp_path, 'spool = "spool"\n')
    assert settings.spool == tmp_path / "spool"
    assert settings.receive == Receive()
    assert settings.receive.host == "127.0.0.1"


def test_a_whole_file(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        spool = "/var/spool/pneumoscope"
        keep_days = 7
        [receive]
        calling_ae_titles = ["CR1", "CR2"]
        [archive]
        kind = "dicomweb"
        url = "http://127.0.0.1:8042/dicom-web"
        user = "gateway"
        [population]
        minimum_age = 1
        maximum_age = 5
        unknown_age = "judge"
        """,
        **{ARCHIVE_PASSWORD: "secret"},
    )
    assert settings.archive.kind is ArchiveKind.DICOMWEB
    assert settings.archive.password == "secret"
    assert "secret" not in repr(settings)
    assert settings.population.unknown_age is Unknown.JUDGE
    assert settings.receive.calling_ae_titles == ("CR1", "CR2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "spool: missing"),
        ("spool = 3", "spool: a path is needed"),
        ("spool = 'x'\nspol = 'y'", "did you mean 'spool'"),
        ("spool = 'x'\n[receive]\nprot = 104", "receive.prot: unknown key; did you mean 'port'"),
        ("spool = 'x'\n[receive]\nport = 'a'", "receive.port"),
        ("spool = 'x'\n[receive]\nport = 99999", "receive.port"),
        ("spool = 'x'\n[receive]\nport = true", "receive.port"),
        ("spool = 'x'\n[receive]\nae_title = 'LONGER THAN SIXTEEN'", "AE title"),
        ("spool = 'x'\n[receive]\ncalling_ae_titles = 'CR1'", "a list of texts"),
        ("spool = 'x'\n[receive]\nhost = '0.0.0.0'", "calling_ae_titles"),
        ("spool = 'x'\n[receive]\nhost = '0.0.0.0'\ncalling_ae_titles = ['CR1']", "allow_unprotected"),
        ("spool = 'x'\n[receive.tls]\ncertificate = 'a'\nkey = 'b'\nauthority = 'c'", "tls.certificate"),
        ("spool = 'x'\n[receive.tls]\ncertificate = 'a'", "missing"),
        ("spool = 'x'\n[archive]\nkind = 'ftp'", "none of dicom, dicomweb"),
        ("spool = 'x'\n[archive]\nkind = 'dicomweb'", "archive.url"),
        ("spool = 'x'\n[archive]\npassword = 'p'", ARCHIVE_PASSWORD),
        ("spool = 'x'\n[watch]\nurl = 'http://user:pass@host/'", "no password into the URL"),
        ("spool = 'x'\n[judging]\nworkers = 0", "judging.workers"),
        ("spool = 'x'\nkeep_days = -1", "keep_days"),
        ("spool = 'x'\nreceive = 3", "a table is needed"),
        ("spool = ", "no TOML"),
    ],
)
def test_what_cannot_be_is_refused_by_name(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_listening_wider_needs_names_and_protection(tmp_path: Path) -> None:
    text = "spool = 'x'\n[receive]\nhost = '0.0.0.0'\ncalling_ae_titles = ['CR1']\nallow_unprotected = true"
    assert read(tmp_path, text).receive.allow_unprotected


def test_delays_grow_to_the_cap() -> None:
    retry = Retry(first_seconds=1, longest_seconds=300)
    assert [retry.delay(attempts) for attempts in (1, 2, 3, 9, 10, 10_000)] == [1, 2, 4, 256, 300, 300]


def test_the_example_in_the_documents_is_read(tmp_path: Path) -> None:
    document = (Path(__file__).resolve().parents[2] / "docs" / "pacs.md").read_text()
    examples = [block.split("```")[0] for block in document.split("```toml\n")[1:]]
    assert examples
    for example in examples:
        tomllib.loads(example)
        read(tmp_path, example)

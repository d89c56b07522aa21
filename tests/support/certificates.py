"""Certificates for the tests of TLS, made by openssl when they are needed: an authority, and who it vouches for."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pneumoscope.pacs.settings import Tls


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder: Path, name: str = "authority") -> Path:
    """A self-signed authority; returns its certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / f"{name}.pem"
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-keyout", folder / f"{name}.key", "-out", certificate, "-subj", f"/CN={name}"),
    )
    return certificate


def make_certificate(authority: Path, name: str) -> Tls:
    """A certificate for 127.0.0.1 and localhost, vouched for by an authority."""
    folder = authority.parent
    key, request, certificate = (folder / f"{name}.{ending}" for ending in ("key", "csr", "crt"))
    extensions = folder / f"{name}.cnf"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", key, "-out", request, "-subj", f"/CN={name}"),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority.with_suffix(".key"), "-CAcreateserial"),
        *("-days", "2", "-out", certificate, "-extfile", extensions),
    )
    return Tls(certificate, key, authority)

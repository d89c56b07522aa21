"""TLS of both roles: 1.2 or later, the ciphers that BCP 195 recommends, and a certificate from each side."""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final

from pneumoscope.errors import UsageError
from pneumoscope.pacs.settings import Tls

MINIMUM: Final = ssl.TLSVersion.TLSv1_2
CIPHERS: Final = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384")
    for signature in ("ECDSA", "RSA")
)
"""Of TLS 1.2, by RFC 9325, 4.2; TLS 1.3 brings its own."""


class _LateHandshake(ssl.SSLContext):
    """Shakes hands in the association's own thread, so that a silent stranger does not hold up the others."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(sock, *args, **(options | {"do_handshake_on_connect": False}))


def server_context(settings: Tls) -> ssl.SSLContext:
    """For those who connect to us.

    Raises:
        UsageError: a file holds no certificate or key.
    """
    return _prepared(_LateHandshake(ssl.PROTOCOL_TLS_SERVER), settings)


def client_context(settings: Tls) -> ssl.SSLContext:
    """For connecting to the archive.

    Raises:
        UsageError: a file holds no certificate or key.
    """
    return _prepared(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings)


def _prepared(context: ssl.SSLContext, settings: Tls) -> ssl.SSLContext:
    context.minimum_version = MINIMUM
    context.set_ciphers(CIPHERS)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        context.load_verify_locations(settings.authority)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"tls: {settings.certificate}, {settings.key}, {settings.authority}: {error}") from error
    return context

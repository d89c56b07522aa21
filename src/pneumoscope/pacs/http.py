"""What all HTTP of the gateway has in common: a timeout, and no compression (Orthanc takes forty times as long)."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter


class _TimeoutAdapter(HTTPAdapter):
    """Sets a timeout where the caller gave none."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__(pool_connections=4, pool_maxsize=16)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or self._seconds
        return super().send(request, *args, **options)


def with_timeout(session: requests.Session | None, seconds: float) -> requests.Session:
    """Give a session, or a new one, a timeout for each answer. Redirects and environment proxies are not followed."""
    session = session or requests.Session()
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _TimeoutAdapter(seconds))
    return session


def open_session(user: str, password: str, seconds: float) -> requests.Session:
    """A session with basic authentication, where there is a user."""
    session = with_timeout(None, seconds)
    if user:
        session.auth = (user, password)
    return session

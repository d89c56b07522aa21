"""For WSGI servers: ``gunicorn --threads 32 pneumoscope.serving.http.wsgi:app``. Settings come from the environment."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Make ``app`` when it is first asked for, and only once."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import os

    from pneumoscope.model.classifier import load_model
    from pneumoscope.serving import logs
    from pneumoscope.serving.http.app import create_app
    from pneumoscope.serving.settings import settings_from_environment

    settings = settings_from_environment(os.environ)
    logs.configure()
    globals()["app"] = app = create_app(load_model(settings.model_file), settings)
    return app

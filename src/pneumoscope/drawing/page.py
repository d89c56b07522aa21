"""The one way in which pages are made: Jinja, with everything escaped, and a missing value an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def render(package: str, template: str, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """Fill in a template.

    Args:
        package: whose folder ``templates`` holds it.
        template: its file name.
        filters: functions that the template uses, by name.
        values: what it is filled with.

    Raises:
        ModuleNotFoundError: Jinja is not installed; it comes with the ``evaluate`` and ``data`` extras.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    page: str = environment.get_template(template).render(**values)
    return page

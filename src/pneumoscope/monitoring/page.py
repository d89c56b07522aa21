"""What was compared, as a self-contained page, JSON and lines for Prometheus."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import numpy as np

from pneumoscope.drawing.page import render as render_template
from pneumoscope.drawing.png import data_uri
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.wording import share
from pneumoscope.monitoring.drift import Drift, smallest_distance
from pneumoscope.monitoring.records import Feature, Sample

_COLOURS: Final = ("#7a8699", "#1b6078")
_BINS: Final = 40


def render(drift: Drift, baseline: Sample, now: Sample, model: str | None) -> str:
    """The page: the verdict, a table of everything compared, and a picture of every distribution."""
    return render_template(
        "pneumoscope.monitoring",
        "drift.html.j2",
        {"share": share},
        notice=RESEARCH_USE_ONLY,
        drift=drift,
        baseline=baseline,
        now=now,
        model=model,
        smallest=smallest_distance(baseline.n, now.n, len(drift.changes), drift.false_alarms),
        pictures=[
            (feature.value, _picture(feature, baseline, now))
            for feature in Feature
            if len(baseline.values(feature)) and len(now.values(feature))
        ],
    )


def prometheus(drift: Drift, model: str | None) -> str:
    """Gauges in Prometheus's text format, as the node exporter's textfile collector reads them."""
    label = _escaped(model or "unknown")
    lines = [
        "# HELP pneumoscope_drift Whether the records differ from the baseline by what matters (1) or not (0).",
        "# TYPE pneumoscope_drift gauge",
        f'pneumoscope_drift{{model="{label}"}} {int(drift.found)}',
        "# HELP pneumoscope_drift_effect Kolmogorov's D of a number, or the difference of a share.",
        "# TYPE pneumoscope_drift_effect gauge",
        *(
            f'pneumoscope_drift_effect{{model="{label}",feature="{_escaped(change.name)}"}} {change.effect:.6g}'
            for change in drift.changes
        ),
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _picture(feature: Feature, baseline: Sample, now: Sample) -> str:
    from matplotlib.figure import Figure

    values = baseline.values(feature), now.values(feature)
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    edges = np.linspace(low, high if high > low else low + 1e-6, _BINS + 1)
    figure = Figure(figsize=(4.6, 2.6), layout="constrained")
    axes: Any = figure.subplots()
    for sample, name, colour in zip(values, ("baseline", "records"), _COLOURS, strict=True):
        counts, _ = np.histogram(sample, edges)
        axes.stairs(counts / len(sample), edges, color=colour, label=f"{name} (n = {len(sample):,})", linewidth=1.6)
    axes.set(xlabel=feature.value, ylabel="share of records")
    axes.legend(frameon=False, fontsize=8)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return data_uri(buffer.getvalue())

"""Monitoring: the stated false-alarm rate holds, shifts are found, three formats read alike, bad input is said."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumoscope.errors import DataError
from pneumoscope.monitoring.drift import compare, holm, smallest_distance
from pneumoscope.monitoring.page import prometheus
from pneumoscope.monitoring.records import Feature, Sample, read_records
from support.cli_kit import Run

MODEL = {"name": "m", "version": "1.0", "sha256": "ab" * 32}


def month(
    n: int,
    seed: int,
    *,
    ill: float = 0.3,
    brighter: float = 0.0,
    closer: float = 0.0,
    refused: float = 0.03,
    model: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Made-up records: scores of two classes, typicality, a lung box, some refusals and notes."""
    generator = np.random.default_rng(seed)
    records: list[dict[str, Any]] = []
    for row in range(n):
        is_refused = generator.random() < refused
        score = 1 / (1 + np.exp(-(generator.normal() + (2.5 if generator.random() < ill else -2.5) + brighter)))
        top = 0.1 - closer + 0.02 * generator.normal()
        box = [0.1, round(top, 4), 0.9, round(top + 0.72 + 2 * closer + 0.03 * generator.normal(), 4)]
        records.append(
            {
                "path": f"{row}.dcm",
                "status": "refused" if is_refused else "ok",
                "probability": None if is_refused else round(float(score), 6),
                "typicality": round(float(np.clip(0.85 + 0.05 * generator.normal() - brighter / 20, 0, 1)), 6),
                "lungs": None if is_refused else {"box": box},
                "notes": [f"patient of {row % 90} years, outside the population"] if generator.random() < 0.1 else [],
                "reasons": [f"{row}.dcm: blank (contrast 0.{row % 10})"] if is_refused else [],
                "model": model or MODEL,
            }
        )
    return records


def write(file: Path, records: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def sample(n: int, seed: int, **options: Any) -> Sample:
    made = Sample(f"month {seed}")
    for record in month(n, seed, **options):
        made.add(record["status"], record["probability"], record["typicality"], (record["lungs"] or {}).get("box"))
        made.add_kinds(record["notes"] + record["reasons"], record["path"])
    return made


def test_false_alarms_are_no_more_than_stated() -> None:
    """Two months of the same kind, many times over, at a rate that can be counted."""
    runs, stated, alarms = 300, 0.2, 0
    for run in range(runs):
        # Without what makes a small difference not matter, so that the tests alone are on trial.
        found = compare(sample(60, 2 * run), sample(90, 2 * run + 1), stated)
        alarms += any(change.p_value < stated for change in found.changes)
    assert alarms / runs <= stated + 2 * (stated * (1 - stated) / runs) ** 0.5
    assert alarms > 0  # a test that never speaks tells nothing


@pytest.mark.parametrize(
    ("shift", "seen"),
    [
        ({"ill": 0.55}, Feature.SCORE.value),
        ({"brighter": 1.2}, Feature.TYPICALITY.value),
        ({"closer": 0.05}, Feature.LUNG_HEIGHT.value),
        ({"refused": 0.2}, "refused"),
    ],
)
def test_a_shift_is_found_and_named(shift: dict[str, float], seen: str) -> None:
    found = compare(sample(600, 1), sample(600, 2, **shift))
    assert found.found
    assert seen in [change.name for change in found.changes if change.drifted]


def test_an_unshifted_month_is_none() -> None:
    found = compare(sample(600, 1), sample(600, 2))
    assert not found.found
    names = [change.name for change in found.changes]
    assert {feature.value for feature in Feature} <= set(names)
    assert "says: patient of # years, outside the population" in names
    assert "says: blank (contrast #)" in names


def test_a_surely_different_but_immaterial_share_is_no_alarm() -> None:
    def many(hits: int) -> Sample:
        made = Sample("many")
        made.n = 400_000
        made.statuses.update({"refused": hits, "ok": made.n - hits})
        return made

    (change,) = [c for c in compare(many(4000), many(6000)).changes if c.name == "refused"]
    assert change.p_value < 1e-9
    assert not change.drifted


def test_holm_is_the_textbook_s() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_what_a_comparison_can_see() -> None:
    assert smallest_distance(100, 100, 8) > smallest_distance(1000, 1000, 8)
    assert smallest_distance(10**6, 10**6, 8) == 0.05


def test_three_formats_read_alike(tmp_path: Path) -> None:
    records = month(50, 3)
    lines = read_records(write(tmp_path / "a.jsonl", records))
    log = tmp_path / "log.jsonl"
    other = {"event": "request", "status": 200}
    log.write_text(
        "".join(json.dumps(other) + "\n" + json.dumps({"event": "scored", **record}) + "\n" for record in records)
    )
    table = tmp_path / "predictions.csv"
    rows = [
        f"{r['path']},NORMAL,{'' if r['probability'] is None else r['probability']},{r['typicality']}" for r in records
    ]
    table.write_text("\n".join(["path,label,probability,typicality", *rows]) + "\n")
    for other_sample in (read_records(log), read_records(table)):
        assert other_sample.n == 50
        assert other_sample.statuses == lines.statuses
        for feature in (Feature.SCORE, Feature.TYPICALITY):
            assert other_sample.values(feature).tolist() == lines.values(feature).tolist()
    assert read_records(log).kinds == lines.kinds
    assert read_records(table).models == set()


def test_lines_that_hold_no_record_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", month(30, 1))
    with file.open("a") as stream:
        stream.write('{"status": "ok"}\n{broken\n{"status": "ok", "probability": 7}\n\n[1]\n')
    found = read_records(file)
    assert (found.n, found.unreadable, found.first_unreadable) == (30, 4, 31)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "neither JSON lines nor a CSV"),
        ("a,b\n1,2\n", "neither JSON lines nor a CSV"),
        ("path,label,probability\n", "holds no records"),
        ('{"event": "request"}\n', "holds no records"),
        ("\x00\x01\x02", "neither JSON lines nor a CSV"),
    ],
)
def test_what_is_no_file_of_records_is_said(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "x"
    file.write_text(content)
    with pytest.raises(DataError, match=said):
        read_records(file)


def test_the_command_finds_drift_and_writes_page_json_and_prometheus(run: Run, tmp_path: Path) -> None:
    baseline, same = write(tmp_path / "b.jsonl", month(300, 1)), write(tmp_path / "same.jsonl", month(300, 2))
    shifted = write(tmp_path / "shifted.jsonl", month(300, 3, closer=0.05))
    quiet = run("monitor", baseline, same, "--out", tmp_path / "quiet")
    assert quiet.exit_code == 0, quiet.output
    assert "no drift found" in quiet.stdout
    assert 'pneumoscope_drift{model="m 1.0"} 0' in (tmp_path / "quiet" / "drift.prom").read_text()
    loud = run("monitor", baseline, shifted, "--out", tmp_path / "loud")
    assert loud.exit_code == 1
    assert "drift: lung box height" in loud.stdout
    assert json.loads((tmp_path / "loud" / "drift.json").read_text())["drift"] is True
    assert 'pneumoscope_drift{model="m 1.0"} 1' in (tmp_path / "loud" / "drift.prom").read_text()
    page = (tmp_path / "loud" / "index.html").read_text()
    assert page.count("data:image/png") == len(Feature)
    assert "http" not in page.replace("http-equiv", "")


def test_a_baseline_of_another_model_is_said_and_nothing_written(run: Run, tmp_path: Path) -> None:
    baseline = write(tmp_path / "b.jsonl", month(30, 1))
    other = write(tmp_path / "o.jsonl", month(30, 2, model={**MODEL, "sha256": "cd" * 32}))
    result = run("monitor", baseline, other, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "scores of two models cannot be compared" in result.stderr
    assert not (tmp_path / "out").exists()
    mixed = write(tmp_path / "mixed.jsonl", [*month(30, 1), *month(30, 2, model={**MODEL, "version": "2"})])
    assert "records of several models" in run("monitor", baseline, mixed, "--out", tmp_path / "out").stderr
    few = write(tmp_path / "few.jsonl", month(5, 1))
    assert "at least 20 are needed" in run("monitor", baseline, few, "--out", tmp_path / "out").stderr


def test_names_in_prometheus_lines_are_escaped() -> None:
    found = compare(sample(30, 1), sample(30, 2))
    assert '{model="a\\"b\\\\c"}' in prometheus(found, 'a"b\\c')


def test_many_records_are_streamed(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    block = "".join(json.dumps(record) + "\n" for record in month(2000, 1))
    with file.open("w") as stream:
        for _ in range(10):
            stream.write(block)
    tracemalloc.start()
    found = read_records(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.n == 20_000
    assert peak < 5_000_000  # of a file three times as large
    assert peak < file.stat().st_size / 2

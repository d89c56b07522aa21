"""Jobs that are killed, poisoned and resumed end with the bytes of an unbroken one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pneumoscope.model.classifier import load_model
from support import phantom
from support.archives import POISONS, command, make_archive, result_bytes, run_job


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("archive") / "images")


@pytest.fixture(scope="module")
def unbroken(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "out"
    done = run_job(archive, out, "--workers", 1, "--heatmaps")
    assert done.returncode == 1, done.stderr  # two inputs cannot be read
    return out


def rows(out: Path) -> list[dict[str, object]]:
    return [row for file in sorted((out / "results").rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_results_are_the_records_of_predict_in_order(archive: Path, unbroken: Path) -> None:
    files = sorted(str(file) for file in archive.rglob("*.*"))
    found = rows(unbroken)
    assert [row["path"] for row in found] == files
    for row, prediction in zip(found, load_model().predict_many(files), strict=True):
        record = prediction.as_dict()
        assert {name: row[name] for name in ("status", "label", "probability", "typicality", "operating_point")} == {
            name: record[name] for name in ("status", "label", "probability", "typicality", "operating_point")
        }
        assert row["reasons"] == record["reasons"]
        assert row["notes"] == record["notes"]
        if prediction.status == "ok":
            assert row["sha256"] == record["sha256"]
            assert row["bytes"] == Path(prediction.path).stat().st_size


def test_summary_counts_every_input_once(archive: Path, unbroken: Path) -> None:
    summary = json.loads((unbroken / "summary.json").read_text("utf-8"))
    assert summary["inputs"] == summary["planned"] == len(rows(unbroken)) == sum(summary["statuses"].values())
    assert any("0 bytes" in reason or "# bytes" in reason for reason in summary["reasons"])
    assert "Not a medical device" in (unbroken / "summary.html").read_text("utf-8")


def test_a_driver_killed_midway_resumes_to_the_same_bytes(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(archive, out, "--workers", 2, "--heatmaps"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not result_bytes(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = result_bytes(out)
    assert begun, "the job was killed before it committed anything"
    refused = run_job(archive, out, "--heatmaps")
    assert refused.returncode == 1
    assert "holds a job already; give --resume" in refused.stderr
    done = run_job(archive, out, "--workers", 2, "--heatmaps", "--resume")
    assert done.returncode in (0, 1), done.stderr
    assert result_bytes(out) == result_bytes(unbroken)
    assert not list(out.rglob(".writing-*"))


def test_inputs_that_kill_or_hang_a_worker_are_passed_over(tmp_path: Path) -> None:
    folder = make_archive(tmp_path / "images", 5)
    chest = phantom.encode(phantom.chest_phantom(256))
    for name in ("kills.png", "hangs.png"):
        (folder / "0" / name).write_bytes(chest)
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(POISONS)
    path = os.pathsep.join([str(tmp_path / "start"), os.environ.get("PYTHONPATH", "")])
    done = run_job(
        f"poisoned://{folder}", tmp_path / "out", "--workers", 2, "--item-timeout", 15, env={"PYTHONPATH": path}
    )
    assert done.returncode == 1, done.stderr
    found = {Path(str(row["path"])).name: row for row in rows(tmp_path / "out")}
    assert len(found) == 9
    assert "ended the process" in str(found["kills.png"]["reasons"])
    assert "took over 15 seconds" in str(found["hangs.png"]["reasons"])
    assert {name for name, row in found.items() if row["status"] == "error"} == {
        *("kills.png", "hangs.png", "broken.jpeg", "empty.png")
    }


def test_a_file_that_changed_is_scored_again_on_resume(tmp_path: Path) -> None:
    folder = make_archive(tmp_path / "images", 6)
    out = tmp_path / "out"
    run_job(folder, out)
    before = result_bytes(out)
    touched, changed = folder / "0" / "000.png", folder / "2" / "002.png"
    os.utime(touched, (1, 1))
    changed.write_bytes(phantom.encode(phantom.chest_phantom(300, 77)))
    done = run_job(folder, out, "--resume")
    assert "1 shards scored again" in done.stderr
    after = result_bytes(out)
    assert sum(before[name] != after[name] for name in before) == 1
    (row,) = [row for row in rows(out) if row["path"] == str(changed)]
    assert (row["width"], row["notes"]) == (300, [])


def test_another_job_s_folder_and_foreign_files_are_left_alone(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    other = run_job(archive, unbroken, "--resume", "--limit", 3)
    assert other.returncode == 1
    assert "was begun as another job" in other.stderr
    assert "limit was None and is 3" in other.stderr
    (tmp_path / "precious.txt").write_text("x")
    foreign = run_job(archive, tmp_path)
    assert "is not empty and holds no job" in foreign.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["precious.txt"]


def test_an_empty_source_a_limit_and_a_dry_run(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no images" in run_job(tmp_path / "empty", tmp_path / "a").stderr
    run_job(archive, tmp_path / "b", "--limit", 4)
    assert len(rows(tmp_path / "b")) == 4
    dry = run_job(archive, tmp_path / "c", "--dry-run")
    assert dry.returncode == 0
    assert "14 inputs" in dry.stdout
    assert not (tmp_path / "c").exists()


def test_a_name_listed_twice_counts_once(archive: Path, tmp_path: Path) -> None:
    file = next(archive.rglob("*.png"))
    (tmp_path / "list.csv").write_text(f"path\n{file}\n{file}\n")
    run_job(tmp_path / "list.csv", tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 1
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["repeated"] == 1


@pytest.mark.slow
def test_two_nodes_of_a_ray_cluster_give_the_same_bytes(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        done = run_job(
            archive, tmp_path / "out", "--engine", "ray", "--workers", 2, "--heatmaps", "--address", cluster.address
        )
    finally:
        cluster.shutdown()
    assert done.returncode == 1, done.stderr
    assert result_bytes(tmp_path / "out") == result_bytes(unbroken)

"""Training on each of Keras' backends as on a GPU: mixed precision, compiled steps, and resumed to the same result."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_mixed_precision_learns_and_resumes_to_the_same_weights(backend: str, tmp_path: Path) -> None:
    if backend == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed; it is too large to be among what every contributor installs")
    program = Path(__file__).with_name("backend_run.py")
    paths = os.pathsep.join([str(program.parents[1]), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["backend"] == backend
    assert said["losses"][1] < said["losses"][0]
    assert said["largest_difference"] == 0
    dtypes = said["trained_in"]
    assert (dtypes["standardize"], dtypes["head_conv"], dtypes["classifier"]) == ("float32", "bfloat16", "float32")
    assert said["best_computes_in"] == ["float32"]
    assert np.isfinite(said["logits"]).all()
    assert said["policy_afterwards"] == "float32"

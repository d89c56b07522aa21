"""The model on whole inputs: real radiographs, the DICOM samples, bad input, threads."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

import pneumoscope
from pneumoscope.errors import ContractError, ModelError, ModelFileError
from pneumoscope.model.classifier import Model, load_model
from pneumoscope.model.packaging import unpack
from pneumoscope.model.prediction import Status
from pneumoscope.model.runtime import LiteRTRuntime
from support import phantom


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert path, f"{name} comes with the pydicom-data package"
    return Path(path)


def test_the_real_chest_is_judged_and_the_real_leg_refused(model: Model) -> None:
    chest, leg = model.predict([sample("RG1_UNCR.dcm"), sample("RG3_UNCR.dcm")])
    assert chest.status is Status.OK, chest.reasons
    assert chest.heatmap is not None
    assert chest.heatmap.min() >= 0
    assert chest.heatmap.max() == pytest.approx(1, abs=1e-3)
    assert leg.status is Status.REFUSED
    assert leg.probability is None
    assert leg.label is None
    assert leg.reasons


def test_record_has_the_fixed_form(model: Model) -> None:
    record = json.loads(model.predict(sample("RG1_UNCR.dcm")).to_json(heatmap="x.png"))
    assert list(record) == [
        "path", "sha256", "status", "label", "probability", "threshold", "operating_point", "subtype",
        "typicality", "reasons", "notes", "heatmap", "prediction_set", "lungs", "model",
    ]  # fmt: skip
    assert sum(record["subtype"].values()) == pytest.approx(1, abs=1e-5)
    assert record["subtype"]["NORMAL"] == pytest.approx(1 - record["probability"], abs=1e-5)
    assert record["model"]["sha256"] == model.info.sha256


def test_validation_radiographs_at_native_size(model: Model, radiographs: Path) -> None:
    files = sorted((radiographs / "native" / "val").rglob("*.jpeg"))
    assert len(files) == 16
    right = [p.label == file.parent.name for file, p in zip(files, model.predict(list(files)), strict=True)]
    assert sum(right) >= 14


def test_native_and_stored_size_agree(model: Model, radiographs: Path) -> None:
    native = sorted((radiographs / "native" / "train").rglob("*.jpeg"))
    stored = [radiographs / "chest_xray_224" / "train" / file.parent.name / file.name for file in native]
    ours = list(model.predict_many(native, jobs=2))
    theirs = list(model.predict_many(stored, jobs=2))
    assert len(native) == 100
    assert sum(a.label == b.label for a, b in zip(ours, theirs, strict=True)) >= 98
    differences = [
        abs(a.probability - b.probability)
        for a, b in zip(ours, theirs, strict=True)
        if a.probability is not None and b.probability is not None
    ]
    assert sum(a.status == b.status for a, b in zip(ours, theirs, strict=True)) >= 98
    assert len(differences) >= 90
    assert float(np.median(differences)) < 0.02


def test_threads_give_the_same_in_the_same_order(model: Model) -> None:
    sources: list[Path | str | bytes] = [phantom.encode(phantom.chest_phantom(300, seed)) for seed in range(24)]
    sources[5] = b"no image"
    alone = [p.as_dict() for p in model.predict_many(sources)]
    together = [p.as_dict() for p in model.predict_many(sources, jobs=3)]
    assert alone == together
    assert [p["status"] for p in alone].count("error") == 1


def test_bad_input_is_a_record(model: Model, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("not a picture", encoding="utf-8")
    small = tmp_path / "small.png"
    small.write_bytes(phantom.encode(phantom.chest_phantom(40)))
    found = model.predict([str(tmp_path / "none.png"), text, small, b"", phantom.encode(phantom.colour_photo())])
    assert [p.status for p in found] == [
        Status.ERROR, Status.ERROR, Status.REFUSED, Status.ERROR, Status.REFUSED,
    ]  # fmt: skip
    assert all(p.reasons and p.probability is None and p.heatmap is None for p in found)
    assert "40 x 40" in found[2].reasons[0]


def test_unknown_operating_point(model: Model) -> None:
    with pytest.raises(ContractError, match="balanced"):
        model.predict(b"", operating_point="best")


def test_operating_points_move_the_decision_only(model: Model) -> None:
    chest = sample("RG1_UNCR.dcm")
    points = sorted(model.contract.operating_points.items(), key=lambda item: item[1].threshold)
    records = [model.predict(chest, operating_point=name) for name, _ in points]
    assert len({record.probability for record in records}) == 1
    for (name, point), record in zip(points, records, strict=True):
        assert record.probability is not None
        assert record.operating_point == name
        assert record.label == ("PNEUMONIA" if record.probability >= point.threshold else "NORMAL")


def test_graph_and_contract_must_agree(model: Model) -> None:
    from importlib import resources

    package = unpack((resources.files("pneumoscope") / "models" / "builtin.tflite").read_bytes(), "built-in")
    other_size = dataclasses.replace(package, contract=dataclasses.replace(package.contract, input_width=128))
    with pytest.raises(ModelError, match="224 x 224 pixels and its contract says 128 x 224"):
        Model(other_size, origin="m.tflite")
    no_subtypes = dataclasses.replace(package, contract=dataclasses.replace(package.contract, subtypes=()))
    with pytest.raises(ModelError, match="disagree about subtypes"):
        Model(no_subtypes, origin="m.tflite")


def test_runtime_refuses_a_broken_graph() -> None:
    with pytest.raises(ModelFileError, match="LiteRT cannot read the graph"):
        LiteRTRuntime(b"\0\0\0\0TFL3" + bytes(100))


def test_public_names() -> None:
    assert pneumoscope.load_model is load_model
    assert pneumoscope.__version__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pneumoscope.nothing

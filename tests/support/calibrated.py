"""The built-in model in contract version 2, as if its scores were calibrated where half of the patients are ill."""

from __future__ import annotations

import dataclasses

from pneumoscope.cli.opening import read_model_package
from pneumoscope.model.contract import CalibrationRecord, ConformalBand, OperatingPoint
from pneumoscope.model.packaging import pack


def calibrated_bytes() -> bytes:
    """A one-file model that judges drawn chests too (typicality limit 0) and is uncertain of every score."""
    package, _ = read_model_package(None)
    ci95 = {"sensitivity": (0.85, 0.94), "specificity": (0.75, 0.84)}
    contract = dataclasses.replace(
        package.contract,
        typicality_limit=0.0,
        name="calibrated",
        operating_points={
            "balanced": OperatingPoint(0.5, 0.9, 0.8, ci95),
            "high_sensitivity": OperatingPoint(0.01, 0.99, 0.5, ci95),
        },
        default_operating_point="balanced",
        conformal=ConformalBand(0.9, 0.0, 1.0),
        calibration=CalibrationRecord(0.5, "nothing: made for a test", 1, 1),
        contract_version=2,
    )
    return pack(package.graph, contract, package.card)

"""A small data folder in the seed's layout, drawn, and a recipe that trains on it in seconds."""

from __future__ import annotations

from pneumoscope.datasets.phantom import write_phantom_data as write_tiny_data
from pneumoscope.training.recipe import Recipe, Stage

__all__ = ["TINY", "write_tiny_data"]

TINY = Recipe(
    name="tiny",
    network="pneumonet",
    stages=(Stage(1, 32), Stage(2, 64)),
    batch_size=8,
    learning_rate=1e-3,
    ema=0.9,
)

"""The recipe of the lung-field network."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

NAME = "lung-field"


@dataclass(frozen=True)
class LungFieldRecipe:
    """Everything that decides the training of the lung-field network, beside its data and seed.

    Attributes:
        steps: batches.
        batch_size: pictures a batch.
        learning_rate: at the peak of the schedule (linear warm-up, then cosine to zero).
        warmup: share of all steps spent warming up.
        weight_decay: of AdamW.
        held_out: pictures of whole patients that Dice is measured on and nothing is trained on.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup: float
    weight_decay: float
    held_out: int


def load_lung_field_recipe() -> LungFieldRecipe:
    """The recipe that comes with the package."""
    text = (resources.files(__package__) / f"{NAME}.toml").read_text("utf-8")
    return LungFieldRecipe(**tomllib.loads(text))

"""What the reader of a judged record must know: what the file says, held against whom the model knows."""

from __future__ import annotations

from typing import Final

from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.model.contract import Contract, Population

_FORMERLY: Final = "children of one to five years"
"""How contracts said whom a model knows before they had a field for it."""


def population_of(contract: Contract) -> Population | None:
    """Whom a model was trained on; ``None`` where its contract does not say."""
    if contract.population is not None:
        return contract.population
    return Population(_FORMERLY, ((1, 5),)) if _FORMERLY in contract.intended_use else None


def notes_on(image: Radiograph, contract: Contract) -> tuple[str, ...]:
    """The notes of a record, one sentence each.

    Args:
        image: with what its reader learnt.
        contract: of the model that judges.
    """
    population = population_of(contract)
    if image.age_years is None or population is None or population.includes(image.age_years) is not False:
        return image.notes
    years = f"{image.age_years:.0f}" if image.age_years >= 2 else f"{image.age_years:.1f}"
    return (*image.notes, f"its header says age {years}; the model knows {population.description}")

"""What is judged at all: one view of one body part of patients like those the model learnt from.

Everything else is recorded with its reason. What a header says of derivation and origin also keeps the gateway from
judging its own captures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydicom.dataset import Dataset

from pneumoscope.imaging.dicom.header import CHEST_PARTS
from pneumoscope.model.contract import Population
from pneumoscope.pacs.identity import age_in_years
from pneumoscope.pacs.marking import is_own

DERIVED: Final = "DERIVED"


class Unknown(StrEnum):
    """What becomes of an image whose header does not say."""

    JUDGE = "judge"
    RECORD = "record"


@dataclass(frozen=True)
class Guards:
    """The population and views that are judged.

    Attributes:
        minimum_age: years at the study; with neither age given, those of the model's population are judged.
        maximum_age: years at the study, below the next birthday: 5 means up to five years and eleven months.
        unknown_age: what becomes of images without age and birth date.
        views: values of View Position that are judged.
        unknown_view: what becomes of images without View Position.
    """

    minimum_age: float | None = None
    maximum_age: float | None = None
    unknown_age: Unknown = Unknown.RECORD
    views: tuple[str, ...] = ("AP", "PA")
    unknown_view: Unknown = Unknown.JUDGE

    def reasons(
        self, header: Dataset, identity: Dataset, population: Population | None
    ) -> tuple[tuple[str, ...], bool]:
        """Say why an image is not judged.

        Args:
            header: of the image.
            identity: made of it.
            population: whom the model was trained on; ``None`` where its contract does not say.

        Returns:
            The reasons, none where it is judged; and whether the image is one of our own objects or derived from
            another, about which nothing is ever reported.
        """
        own = self._derived(header)
        if own:
            return own, True
        return (*self._age(identity, population), *self._view(identity), *_body_part(identity)), False

    @staticmethod
    def _derived(header: Dataset) -> tuple[str, ...]:
        if is_own(str(header.get("Manufacturer") or ""), str(header.get("SeriesDescription") or "")):
            return ("an object of this gateway itself",)
        kinds = header.get("ImageType") or ""
        first = str(kinds if isinstance(kinds, str) else kinds[0])
        if first.upper() == DERIVED and header.get("SourceImageSequence"):
            return ("derived from another image",)
        return ()

    def _age(self, identity: Dataset, population: Population | None) -> tuple[str, ...]:
        ages: tuple[tuple[float, float], ...] = population.ages if population is not None else ()
        if self.minimum_age is not None or self.maximum_age is not None:
            first = 0.0 if self.minimum_age is None else self.minimum_age
            ages = ((first, 150.0 if self.maximum_age is None else self.maximum_age),)
        if not ages:
            return ()
        wanted = "judged are patients of " + " or ".join(f"{first:g} to {last:g}" for first, last in ages) + " years"
        age = age_in_years(identity)
        if age is None:
            return (f"age not stated; {wanted}",) if self.unknown_age is Unknown.RECORD else ()
        if any(first <= age < last + 1 for first, last in ages):
            return ()
        return (f"patient outside of the population; {wanted}",)

    def _view(self, identity: Dataset) -> tuple[str, ...]:
        view = str(identity.get("ViewPosition") or "")
        if not view:
            return ("view not stated",) if self.unknown_view is Unknown.RECORD else ()
        if view in self.views:
            return ()
        return (f"view {view}; the model knows {' and '.join(self.views)}",)


def _body_part(identity: Dataset) -> tuple[str, ...]:
    part = str(identity.get("BodyPartExamined") or "")
    return () if part.replace(" ", "") in CHEST_PARTS else (f"body part {part}, not the chest",)

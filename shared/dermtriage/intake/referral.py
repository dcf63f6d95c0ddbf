"""The metadata of a referral; field names follow the ISIC archive."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    field_validator,
    model_validator,
)

from dermtriage.core.age import age_in_years, approximate_age
from dermtriage.core.enums import ImageType, Priority
from dermtriage.core.validation import STORABLE_TEXT

MAX_IMAGES = 12
MAX_HISTORY_FIELDS = 50

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=STORABLE_TEXT),
]
LongText = Annotated[str, StringConstraints(max_length=2000, pattern=STORABLE_TEXT)]
HistoryValue = bool | int | FiniteFloat | LongText


class ImageMetadata(BaseModel):
    """The clinic's description of one photograph."""

    model_config = ConfigDict(extra="forbid")

    image_type: ImageType = Field(
        default=ImageType.DERMOSCOPIC,
        description="An overview only locates the lesion and is not scored.",
    )
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the file's bytes, in lower-case hexadecimal.",
    )


class CaseMetadata(BaseModel):
    """One referral: one lesion of one patient. Identifiers are the clinic's pseudonyms."""

    model_config = ConfigDict(extra="forbid")

    images: list[ImageMetadata] = Field(
        min_length=1, max_length=MAX_IMAGES, description="In the order of the files."
    )
    priority: Priority = Field(
        default=Priority.ROUTINE, description="Triage may raise it and never lowers it."
    )
    clinic_reference: Text | None = None
    patient_id: Text | None = None
    lesion_id: Text | None = None
    age_approx: int | None = Field(
        default=None,
        ge=0,
        le=85,
        multiple_of=5,
        description="In steps of five years, 85 at most. Another age is rounded, and stays in"
        " `history.age` as it was sent.",
    )
    sex: Literal["male", "female"] | None = None
    anatom_site: Text | None = None
    fitzpatrick_skin_type: Literal["I", "II", "III", "IV", "V", "VI"] | None = None
    clin_size_long_diam_mm: float | None = Field(default=None, gt=0, le=1000)
    personal_hx_mm: bool | None = None
    family_hx_mm: bool | None = None
    onset_date: date | None = None
    history: dict[Text, HistoryValue] = Field(
        default_factory=dict,
        max_length=MAX_HISTORY_FIELDS,
        description="The rest of the referral: changes, symptoms, medication, consent.",
    )
    replaces_case_id: UUID | None = Field(
        default=None, description="The case that awaits this retake."
    )

    @field_validator("clin_size_long_diam_mm", mode="before")
    @classmethod
    def _refuse_boolean(cls, sent: Any) -> Any:
        if isinstance(sent, bool):
            raise ValueError("a number of millimetres is needed, not true or false")
        return sent

    @field_validator("age_approx", mode="before")
    @classmethod
    def _round_age(cls, sent: Any) -> int | None:
        return None if sent is None else approximate_age(age_in_years(sent))

    @model_validator(mode="before")
    @classmethod
    def _keep_age(cls, sent: Any) -> Any:
        """Keep an age that is rounded in the history."""
        try:
            years = age_in_years(sent["age_approx"])
            history = {"age": years} | sent.get("history", {})
        except (KeyError, TypeError, ValueError):
            return sent  # the fields say what is wrong
        return sent if approximate_age(years) == years else sent | {"history": history}

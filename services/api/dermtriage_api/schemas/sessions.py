"""Login of clinicians."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from dermtriage.core.enums import Role
from dermtriage_api.schemas.common import Input, Text, example, input_example


class Login(Input):
    """Username and password of a clinician."""

    model_config = input_example(username="m.okafor", password="four random words here")  # noqa: S106 - an example

    username: Annotated[Text, Field(min_length=1, max_length=100)]
    password: str = Field(min_length=1, max_length=1000)


class SessionView(BaseModel):
    """A new session of a clinician."""

    model_config = example(
        token="dts_Jf2w9Qk0b7mXc4nT1vR8sYpL6dHzAeUo3gKiBtNjWxE",  # noqa: S106 - an example
        expires_at="2026-03-02T20:15:30Z",
        username="m.okafor",
        display_name="Dr M. Okafor",
        role="clinician",
    )

    token: str = Field(description="Send it as `Authorization: Bearer <token>`.")
    expires_at: datetime
    username: str
    display_name: str
    role: Role

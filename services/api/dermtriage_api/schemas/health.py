"""How the process and what it needs are."""

from typing import Literal

from pydantic import BaseModel, Field

from dermtriage_api.schemas.common import example

Check = Literal["ok", "unavailable", "outdated"]


class Alive(BaseModel):
    """The process answers."""

    model_config = example(status="ok")

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether requests can be served."""

    model_config = example(
        ready=True, checks={"database": "ok", "store": "ok", "queue": "unavailable"}
    )

    ready: bool
    checks: dict[str, Check] = Field(
        description="`queue` alone may be unavailable: uploads are taken and scored later."
    )

"""Health of the process and of what it depends on."""

from typing import Literal

from pydantic import BaseModel, Field

from dermtriage_api.schemas.common import example

Check = Literal["ok", "unavailable", "outdated", "mismatch", "unknown"]


class Liveness(BaseModel):
    """The process is running."""

    model_config = example(status="ok")

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether requests can be served."""

    model_config = example(
        ready=True, checks={"database": "ok", "store": "ok", "queue": "unavailable"}
    )

    ready: bool
    checks: dict[str, Check] = Field(
        description="`database`, `store` and `queue`. `mismatch`: the store is not the one of this"
        " database, or its disk is not mounted. `unknown`: without the database nobody knows. A"
        " server is ready without its queue: uploads are accepted and scored later."
    )

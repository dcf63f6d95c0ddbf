"""The reference pages: Swagger UI, which loads from this server and nowhere else."""

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

# The page's styles are set by its script as attributes, and its icons are data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dermtriage API</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
<style>
/* Swagger UI has no dark colours of its own: its light ones are turned round, hues kept. */
@media (prefers-color-scheme: dark) {
  html { background: white; filter: invert(0.9) hue-rotate(180deg); }
}
</style>
</head>
<body>
<main id="reference"></main>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null,
});
"""


@router.get("/")
async def root() -> RedirectResponse:
    """Lead a person to the reference."""
    return RedirectResponse("docs")


@router.get("/docs")
async def page() -> HTMLResponse:
    """Show the reference."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/start.js")
async def start() -> Response:
    """Start the page; a script of its own, as the policy forbids scripts inside the page."""
    return Response(_START, media_type="text/javascript")


def add_reference(app: FastAPI) -> None:
    """Add the pages with what they load."""
    app.include_router(router)
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_offline", "static")]))

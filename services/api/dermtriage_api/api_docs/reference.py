"""The reference page: Swagger UI, loaded entirely from this server."""

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

# Swagger UI sets styles inline, and its icons are data URLs.
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
/* Swagger UI has no dark colours of its own: invert the light ones and keep their hues. */
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
    """Redirect to the reference page."""
    return RedirectResponse("docs")


@router.get("/docs")
async def page() -> HTMLResponse:
    """Return the reference page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/start.js")
async def start() -> Response:
    """Return the script that starts Swagger UI; the page's policy forbids inline scripts."""
    return Response(_START, media_type="text/javascript")


def add_reference(app: FastAPI) -> None:
    """Add the page and the files that it loads."""
    app.include_router(router)
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_offline", "static")]))

"""How the HTTP server reads connections; uvicorn loads it with `--http`. No routes."""

"""ASGI middleware: authentication and body limits, safe headers, error handling. No routes."""

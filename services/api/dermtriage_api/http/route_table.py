"""Which route a path belongs to, for what is answered without the router."""

from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class RoutePath:
    """A path with its placeholders, such as ``/v1/cases/{case_id}``, and its methods."""

    path: str
    methods: tuple[str, ...]


def route_of(app: FastAPI, path: str) -> RoutePath | None:
    """Return the path template that `path` matches, with the methods of all its routes."""
    template, methods = None, set[str]()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, Route) and route.path_regex.match(path):
            template = template or route.path_format
            if route.path_format == template:
                methods |= route.methods or set()
    return None if template is None else RoutePath(template, tuple(sorted(methods)))

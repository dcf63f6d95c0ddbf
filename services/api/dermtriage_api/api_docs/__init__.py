"""The OpenAPI document, the descriptions that routes add to it, and the reference page."""

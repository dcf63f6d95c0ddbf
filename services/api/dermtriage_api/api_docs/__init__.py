"""The OpenAPI document and the reference pages."""

"""The routes, one module a resource: each validates, calls the domain and shows the result."""

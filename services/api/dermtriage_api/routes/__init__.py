"""The routes, a module per resource: each validates, calls the domain and renders the result."""

"""The HTTP API: validates requests, calls the domain, and renders the results. No torch."""

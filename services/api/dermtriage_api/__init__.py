"""The HTTP API: it validates, calls the domain, and shows the result."""

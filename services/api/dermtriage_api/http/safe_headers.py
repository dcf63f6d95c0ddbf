"""The headers that every response has, unless a route sets a value of its own."""

SAFE_HEADERS = {
    # Responses hold patient data. Those that a client may keep set a value of their own.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

"""What is accepted as a photograph: types, sizes, and the work that a decoder may be given."""

ACCEPTED_MEDIA_TYPES = ("image/jpeg", "image/png")
"""By the content of the file, never by its name or header."""

MIN_SIDE = 64
"""The shortest accepted side, in pixels."""

MAX_PIXELS = 50_000_000
"""The most pixels accepted; read from the header, before memory is allocated."""

MAX_SCANS = 200
"""The most scans of a progressive JPEG. Encoders write about ten; each costs the decoder a pass
over the whole picture, so that a file of a few megabytes could otherwise keep it busy for hours."""

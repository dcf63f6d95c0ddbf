"""What is accepted as a photograph: types, sizes, and the work that a decoder may be given."""

ACCEPTED_MEDIA_TYPES = ("image/jpeg", "image/png")
"""By the content of the file, never by its name or header."""

MIN_SIDE = 64
"""The shortest accepted side, in pixels."""

MAX_PIXELS = 51_200_000
"""The most pixels accepted; read from the header, before memory is allocated. What phones call
50 megapixels is up to 8160 x 6144, a little more than 50 million."""

MAX_PNG_BYTES = 4 * MAX_PIXELS
"""The most bytes of pixels in a PNG, once inflated: `MAX_PIXELS` with 8 bits for each of red,
green, blue and opacity. A file of 100 kB can inflate to a thousand times as much."""

MAX_SCANS = 50
"""The most scans of a JPEG. Encoders write about ten; each costs the decoder a pass over the whole
picture, so that a file of a few megabytes could otherwise keep it busy for hours."""

MAX_SEGMENTS = 2_000
"""The most segments of a JPEG. A file of 25 MiB whose metadata fills segments of 64 KiB has 400."""

MAX_CHUNKS = 30_000
"""The most chunks of a PNG. Encoders write pixels in chunks of 8 KiB or more: 3,200 in 25 MiB."""

MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""The longest ICC profile that is read. Those of printers have 3 MB at most, those of cameras a few
hundred bytes."""

MAX_EXIF_BYTES = 64 * 1024
"""The longest EXIF that is read: the length of a JPEG segment."""

MAX_PADDING = 64
"""The most bytes of any value that may follow the last pixels within a JPEG. Encoders that pad with
one repeated value may write more of it; anything else is pixels whose place was lost."""

"""Whether the scans of a JPEG deliver the whole picture (ITU-T T.81, annexes B and G).

A decoder says nothing of a file that ends between two scans: it shows what it has, which may be a
blurred picture, or one without colour.
"""

from collections.abc import Sequence

_COEFFICIENTS = 64


def deliver_all(frame: bytes, scans: Sequence[bytes], *, progressive: bool) -> bool:
    """Whether every bit of every coefficient of every component comes in some scan.

    Parameters
    ----------
    frame
        The content of the frame header, behind its length.
    scans
        The contents of the scan headers.
    """
    missing = {component: [True] * _COEFFICIENTS for component in frame[6::3]}
    for scan in scans:
        count = scan[0] if scan else 0
        if not count or len(scan) != 4 + 2 * count:
            return False
        first, last, approximation = scan[-3:]
        # The lower half is how many of the lowest bits are left to later scans.
        is_last_bit = not progressive or approximation % 16 == 0
        if not progressive:
            first, last = 0, _COEFFICIENTS - 1
        if last >= _COEFFICIENTS:
            return False
        for component in scan[1 : 1 + 2 * count : 2]:
            if component not in missing:
                return False
            missing[component][first : last + 1] = [not is_last_bit] * (last + 1 - first)
    return bool(missing) and not any(map(any, missing.values()))

"""The referrals that a demonstration sends: drawn samples, or the user's own photographs."""

from collections.abc import Iterator, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from dermtriage.core.enums import ImageType
from dermtriage_cli.clinic_files.photographs import find_photographs, name_of
from dermtriage_cli.demo.samples import Sample
from dermtriage_cli.submission.referral import Photograph, Referral


def sample_referrals(samples: Iterator[Sample]) -> Iterator[Referral]:
    """Yield the referrals of samples; each sample is drawn when it is needed."""
    for sample in samples:
        metadata = dict(sample.metadata)
        kind = ImageType(metadata.pop("image_type"))
        # `partial` binds this sample: the loop variable has moved on when it is read.
        read = partial(attrgetter("jpeg"), sample)
        yield Referral(sample.name, (Photograph(read, kind),), metadata)


def photograph_referrals(paths: Sequence[Path]) -> list[Referral]:
    """Return one referral per photograph of the user."""
    return [
        Referral(
            str(path), (Photograph(path.read_bytes),), {"clinic_reference": name_of(path)[:100]}
        )
        for path in find_photographs(paths).photographs
    ]

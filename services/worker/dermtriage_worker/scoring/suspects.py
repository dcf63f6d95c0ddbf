"""Find the image that kills workers: after a worker died, each image is noted before scoring."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from dermtriage.rescoring import chunk_leases, failures
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.scoring.leases import Lease
from dermtriage_worker.scoring.failures import write_with_retries
from dermtriage_worker.scoring.runtime import Runtime


class Suspects:
    """The images of a chunk whose last worker died: any of them may be the cause.

    Attributes
    ----------
    one_at_a_time
        Whether a worker died over the chunk: then its images are scored one at a time.
    """

    def __init__(self, runtime: Runtime, chunk: Chunk) -> None:
        self.one_at_a_time = chunk.attempts > 1
        self._runtime = runtime
        self._chunk = chunk

    def mark(self, leases: Sequence[Lease]) -> bool:
        """Note the image that is scored next as suspect; return whether it may be scored."""
        if not self.one_at_a_time:
            return True
        (lease,) = leases
        return write_with_retries(
            self._runtime, lambda s: failures.mark_suspect(s, self._chunk, lease.image_id)
        )

    def clear(self, leases: Sequence[Lease]) -> None:
        """Clear images, since their worker is alive."""
        image_ids = [lease.image_id for lease in leases]

        def write(session: Session) -> None:
            if chunk_leases.lock(session, self._chunk) is not None:
                failures.clear_suspects(session, self._chunk, image_ids)

        if self.one_at_a_time:
            write_with_retries(self._runtime, write)

"""Find the image that kills workers: after a worker died, each image is noted before scoring."""

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
        Whether a worker died while it held the chunk, or the chunk failed: then each of its images
        is scored while the process does nothing else.
    """

    def __init__(self, runtime: Runtime, chunk: Chunk) -> None:
        self.one_at_a_time = chunk.suspect or chunk.attempts > 1
        self._runtime = runtime
        self._chunk = chunk

    def mark(self, lease: Lease) -> bool:
        """Note the image that is scored next as suspect; return whether it may be scored."""
        return write_with_retries(
            self._runtime, lambda s: failures.mark_suspect(s, self._chunk, lease.image_id)
        )

    def clear(self, lease: Lease) -> None:
        """Clear an image, since its worker is alive."""

        def write(session: Session) -> None:
            if chunk_leases.lock(session, self._chunk) is not None:
                failures.clear_suspects(session, self._chunk, [lease.image_id])

        write_with_retries(self._runtime, write)

"""HTTP itself: problem documents, the multipart body of an upload, entity tags. No routes."""

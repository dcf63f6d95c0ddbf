"""HTTP itself: problem documents, multipart bodies, entity tags. No resource of ours."""

"""Insert cases of one image each that an earlier release has scored: rows only, no files."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from dermtriage.core.enums import Severity

_CLINIC = text("INSERT INTO clinics (id, name) VALUES (gen_random_uuid(), 'Bench')")

_CASES = text("""
INSERT INTO cases (id, clinic_id, received_at, priority, history, state, severity, latest_severity,
                   lane, due_at, ages_at, triage_version, changed_at)
SELECT uuidv7(), (SELECT id FROM clinics LIMIT 1), now(), 'routine', '{}', 'open', :severity,
       :severity, :lane, now() + interval '5 days', now() + interval '5 days', 0, now()
FROM generate_series(1, :images)
""")

_RELEASE = text("""
INSERT INTO releases (name, manifest, manifest_sha256, mode)
VALUES ('before', '{}', sha256(''), 'idle')
""")

_IMAGES = text("""
INSERT INTO images (id, case_id, position, image_type, media_type, sha256, byte_size, width, height,
                    scoring, severity, release_id)
SELECT uuidv7(), id, 0, 'dermoscopic', 'image/jpeg', sha256(uuid_send(id)), 30000, 600, 450,
       'scored', severity, (SELECT id FROM releases WHERE name = 'before')
FROM cases
""")


def fill(session: Session, images: int, *, severity: Severity, lane: int) -> None:
    """Insert this many images with a case each, all of one severity and lane."""
    session.execute(_CLINIC)
    session.execute(_CASES, {"images": images, "severity": severity.value, "lane": lane})
    session.execute(_RELEASE)
    session.execute(_IMAGES)

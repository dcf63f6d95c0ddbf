"""What must hold in every row, looked at each night; a name and a query each.

Constraints hold what one row can tell. These hold what takes several.
"""

import logging
from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from dermtriage.accounts import audit

logger = logging.getLogger(__name__)

INVARIANTS: Mapping[str, str] = {
    "a pending image waits in the queue": """
        SELECT i.id FROM images i LEFT JOIN pending_images p ON p.image_id = i.id
        WHERE (i.scoring = 'pending') <> (p.image_id IS NOT NULL)""",
    "a scored image has the assessment that triaged it": """
        SELECT i.id FROM images i
        WHERE i.scoring = 'scored'
          AND NOT EXISTS (SELECT FROM assessments a
                          WHERE a.image_id = i.id AND a.release_id = i.release_id)""",
    "an open case with a severe image is severe": """
        SELECT c.id FROM cases c
        WHERE c.state = 'open' AND c.severity <> 'severe'
          AND EXISTS (SELECT FROM images i WHERE i.case_id = c.id AND i.severity = 'severe')""",
    "a case without all its scores is severe or unscored, unless it was scored before": """
        SELECT c.id FROM cases c
        WHERE c.state = 'open' AND c.latest_severity NOT IN ('severe', 'unscored')
          AND EXISTS (SELECT FROM images i
                      WHERE i.case_id = c.id AND i.scoring IN ('pending', 'failed'))""",
    "a case has an image": """
        SELECT c.id FROM cases c
        WHERE NOT EXISTS (SELECT FROM images i WHERE i.case_id = c.id)""",
    "a case stands as its last event says": """
        SELECT c.id FROM cases c
        LEFT JOIN LATERAL (SELECT * FROM triage_events e WHERE e.case_id = c.id
                           ORDER BY e.id DESC LIMIT 1) e ON true
        WHERE (c.state, c.severity, c.lane::int)
              IS DISTINCT FROM (e.to_state, e.to_severity, e.to_lane::int)""",
    "a decided case has a decision": """
        SELECT c.id FROM cases c
        WHERE c.state IN ('decided', 'awaiting_retake')
          AND NOT EXISTS (SELECT FROM decisions d WHERE d.case_id = c.id)""",
    "a case that awaits a retake was asked for one": """
        SELECT c.id FROM cases c
        WHERE c.state = 'awaiting_retake'
          AND NOT EXISTS (SELECT FROM decisions d WHERE d.case_id = c.id AND d.outcome = 'retake')
    """,
    "one decision of a case stands": """
        SELECT d.case_id FROM decisions d
        WHERE NOT EXISTS (SELECT FROM decisions l WHERE l.supersedes_id = d.id)
        GROUP BY d.case_id HAVING count(*) > 1""",
    "a finished run has done all its chunks": """
        SELECT r.id FROM rescore_runs r
        WHERE r.state = 'finished'
          AND EXISTS (SELECT FROM rescore_chunks c
                      WHERE c.run_id = r.id AND c.done_at IS NULL)""",
    "an open case that can age knows when": """
        SELECT c.id FROM cases c
        WHERE c.state = 'open' AND c.lane > 1 AND c.ages_at IS NULL""",
}


def check_invariants(session: Session, *, examples: int = 5) -> dict[str, list[str]]:
    """Look for rows that break an invariant.

    Returns
    -------
    dict
        For each broken invariant some identifiers; empty when all hold. The outcome is logged
        and entered in the audit trail, where the metrics read it.
    """
    broken = {}
    for name, query in INVARIANTS.items():
        found = session.execute(text(f"{query} LIMIT {examples}")).scalars()
        if identifiers := [str(identifier) for identifier in found]:
            broken[name] = identifiers
            logger.error("invariant broken", extra={"invariant": name, "examples": identifiers})
    audit.record(
        session,
        actor_kind="operator",
        actor_id=None,
        action="invariants.checked",
        broken=len(broken),
    )
    return broken

"""A clinic may withdraw a case: events may have the kind "withdrawn"."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BEFORE = ("received", "scored", "upgraded", "aged", "decided", "replaced", "recalled", "lowered")


def upgrade() -> None:
    _permit_kinds((*_BEFORE, "withdrawn"))
    # Events that a downgrade has renamed.
    op.execute(
        "UPDATE triage_events SET kind = 'withdrawn'"
        " WHERE kind = 'decided' AND to_state = 'withdrawn'"
    )


def downgrade() -> None:
    # Not deleted: the last event of a case says what state the case is in.
    op.execute("UPDATE triage_events SET kind = 'decided' WHERE kind = 'withdrawn'")
    _permit_kinds(_BEFORE)


def _permit_kinds(kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_triage_events_kind"), "triage_events", type_="check")
    words = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_triage_events_kind"), "triage_events", f"kind IN ({words})")

"""Rescoring in bulk: runs, chunks, failures; and a case may be lowered by a policy."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BEFORE = ("received", "scored", "upgraded", "aged", "decided", "replaced", "recalled")


def upgrade() -> None:
    op.create_table(
        "rescore_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("release_id", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("scope", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("night", sa.Date(), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("images", sa.BigInteger(), nullable=False),
        sa.Column("recalls", sa.Integer(), nullable=False),
        sa.Column("recalls_confirmed", sa.Boolean(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "state IN ('planned', 'running', 'paused', 'cancelled', 'finished', 'failed')",
            name=op.f("ck_rescore_runs_state"),
        ),
        sa.CheckConstraint("images >= 0 AND recalls >= 0", name=op.f("ck_rescore_runs_counts")),
        sa.CheckConstraint(
            "(ended_at IS NOT NULL) = (state IN ('cancelled', 'finished', 'failed'))",
            name=op.f("ck_rescore_runs_ended"),
        ),
        sa.CheckConstraint(
            "report IS NULL OR ended_at IS NOT NULL",
            name=op.f("ck_rescore_runs_report_after_end"),
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_rescore_runs_release_id_releases")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rescore_runs")),
        sa.UniqueConstraint("night", name=op.f("uq_rescore_runs_night")),
    )
    op.create_index("ix_rescore_runs_created_at", "rescore_runs", ["created_at"])
    op.create_table(
        "rescore_chunks",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_image_id", sa.Uuid(), nullable=False),
        sa.Column("last_image_id", sa.Uuid(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("scored", sa.Integer(), server_default="0", nullable=False),
        sa.Column("upgrades", sa.Integer(), server_default="0", nullable=False),
        sa.Column("recalls", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_expires_at IS NULL)",
            name=op.f("ck_rescore_chunks_whole_lease"),
        ),
        sa.CheckConstraint(
            "first_image_id <= last_image_id", name=op.f("ck_rescore_chunks_bounds")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["rescore_runs.id"],
            name=op.f("fk_rescore_chunks_run_id_rescore_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_rescore_chunks")),
    )
    op.create_index(
        "ix_rescore_chunks_open",
        "rescore_chunks",
        ["run_id", "number"],
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_index("ix_rescore_chunks_lease_token", "rescore_chunks", ["lease_token"])
    op.create_table(
        "rescore_failures",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_rescore_failures_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["rescore_runs.id"],
            name=op.f("fk_rescore_failures_run_id_rescore_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "image_id", name=op.f("pk_rescore_failures")),
    )
    # A run's changes are found for its report; most events belong to none.
    op.create_index(
        "ix_triage_events_run_id",
        "triage_events",
        ["run_id", "kind"],
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    _permit_kinds((*_BEFORE, "lowered"))


def downgrade() -> None:
    op.execute("DELETE FROM triage_events WHERE kind = 'lowered'")
    _permit_kinds(_BEFORE)
    op.drop_index("ix_triage_events_run_id", table_name="triage_events")
    for table in ("rescore_failures", "rescore_chunks", "rescore_runs"):
        op.drop_table(table)


def _permit_kinds(kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_triage_events_kind"), "triage_events", type_="check")
    words = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_triage_events_kind"), "triage_events", f"kind IN ({words})")

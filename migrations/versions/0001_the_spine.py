"""The tables from accounts and cases to assessments, triage events and the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("lease_tokens")))
    op.execute(sa.schema.CreateSequence(sa.Sequence("claim_tokens")))
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "actor_kind IN ('clinic', 'clinician', 'operator')",
            name=op.f("ck_audit_log_actor_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_action", "audit_log", ["action", "id"], unique=False)
    op.create_index("ix_audit_log_actor_id", "audit_log", ["actor_id", "id"], unique=False)
    op.create_index("ix_audit_log_case_id", "audit_log", ["case_id", "id"], unique=False)
    op.create_table(
        "clinicians",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("display_name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('clinician', 'lead', 'admin')", name=op.f("ck_clinicians_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinicians")),
        sa.UniqueConstraint("username", name=op.f("uq_clinicians_username")),
    )
    op.create_table(
        "clinics",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinics")),
        sa.UniqueConstraint("name", name=op.f("uq_clinics_name")),
    )
    op.create_table(
        "policies",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
    )
    op.create_index(
        "uq_policies_one_active",
        "policies",
        ["active"],
        unique=True,
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("manifest", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("manifest_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("mode IN ('idle', 'shadow', 'active')", name=op.f("ck_releases_mode")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint("name", name=op.f("uq_releases_name")),
    )
    op.create_index(
        "uq_releases_one_active",
        "releases",
        ["mode"],
        unique=True,
        postgresql_where=sa.text("mode = 'active'"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hostname", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("slots", sa.SmallInteger(), nullable=False),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column("release", sa.String(length=100), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("busy", sa.SmallInteger(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("slots > 0", name=op.f("ck_workers_slots")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id"], ["clinics.id"], name=op.f("fk_api_keys_clinic_id_clinics")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_clinic_id"), "api_keys", ["clinic_id"], unique=False)
    op.create_table(
        "cases",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("priority", sa.String(length=32), nullable=False),
        sa.Column("clinic_reference", sa.String(length=100), nullable=True),
        sa.Column("patient_id", sa.String(length=100), nullable=True),
        sa.Column("lesion_id", sa.String(length=100), nullable=True),
        sa.Column("age_approx", sa.SmallInteger(), nullable=True),
        sa.Column("sex", sa.String(length=16), nullable=True),
        sa.Column("anatom_site", sa.String(length=100), nullable=True),
        sa.Column("fitzpatrick_skin_type", sa.String(length=3), nullable=True),
        sa.Column("clin_size_long_diam_mm", sa.Double(), nullable=True),
        sa.Column("personal_hx_mm", sa.Boolean(), nullable=True),
        sa.Column("family_hx_mm", sa.Boolean(), nullable=True),
        sa.Column("onset_date", sa.Date(), nullable=True),
        sa.Column("history", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("replaces_case_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=32), nullable=False),
        sa.Column("latest_severity", sa.String(length=32), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ages_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("triage_version", sa.Integer(), nullable=False),
        sa.Column("recalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "lane <= 1 OR severity IN ('indeterminate', 'low')",
            name=op.f("ck_cases_unscored_is_high"),
        ),
        sa.CheckConstraint(
            "lane <= 2 OR (severity = 'low' AND priority = 'routine')",
            name=op.f("ck_cases_lane_2_kept"),
        ),
        sa.CheckConstraint(
            "lane = 0 OR (severity <> 'severe' AND priority NOT IN ('stat', 'asap'))",
            name=op.f("ck_cases_lane_0_kept"),
        ),
        sa.CheckConstraint(
            "latest_severity IN ('severe', 'unscored', 'indeterminate', 'low')",
            name=op.f("ck_cases_latest_severity"),
        ),
        sa.CheckConstraint(
            "priority IN ('stat', 'asap', 'urgent', 'routine')", name=op.f("ck_cases_priority")
        ),
        sa.CheckConstraint(
            "severity IN ('severe', 'unscored', 'indeterminate', 'low')",
            name=op.f("ck_cases_severity"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'awaiting_retake', 'decided', 'withdrawn')",
            name=op.f("ck_cases_state"),
        ),
        sa.CheckConstraint(
            "age_approx BETWEEN 0 AND 85 AND mod(age_approx, 5) = 0",
            name=op.f("ck_cases_age_approx"),
        ),
        sa.CheckConstraint("lane BETWEEN 0 AND 3", name=op.f("ck_cases_lane")),
        sa.CheckConstraint("replaces_case_id <> id", name=op.f("ck_cases_replaces_another")),
        sa.CheckConstraint("triage_version >= 0", name=op.f("ck_cases_triage_version")),
        sa.ForeignKeyConstraint(
            ["clinic_id"], ["clinics.id"], name=op.f("fk_cases_clinic_id_clinics")
        ),
        sa.ForeignKeyConstraint(
            ["replaces_case_id"], ["cases.id"], name=op.f("fk_cases_replaces_case_id_cases")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("replaces_case_id", name=op.f("uq_cases_replaces_case_id")),
    )
    op.create_index(
        "ix_cases_ages_at",
        "cases",
        ["ages_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open' AND ages_at IS NOT NULL"),
    )
    op.create_index("ix_cases_changes", "cases", ["clinic_id", "changed_at", "id"], unique=False)
    op.create_index(
        "ix_cases_awaiting_retake",
        "cases",
        ["lane", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'awaiting_retake'"),
    )
    op.create_index(
        "ix_cases_worklist",
        "cases",
        ["lane", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "clinician_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("clinician_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinician_id"],
            ["clinicians.id"],
            name=op.f("fk_clinician_sessions_clinician_id_clinicians"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinician_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_clinician_sessions_token_hash")),
    )
    op.create_index(
        op.f("ix_clinician_sessions_clinician_id"),
        "clinician_sessions",
        ["clinician_id"],
        unique=False,
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("clinician_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("advice", sa.String(length=2000), nullable=False),
        sa.Column("diagnosis", sa.String(length=100), nullable=True),
        sa.Column("read_kind", sa.String(length=16), nullable=False),
        sa.Column("supersedes_id", sa.Uuid(), nullable=True),
        sa.Column("severity_at_decision", sa.String(length=32), nullable=False),
        sa.Column("triage_version", sa.Integer(), nullable=False),
        sa.Column("claim_token", sa.BigInteger(), nullable=False),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("recalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('refer_urgent', 'refer_routine', 'discharge_with_advice', 'retake')",
            name=op.f("ck_decisions_outcome"),
        ),
        sa.CheckConstraint(
            "read_kind IN ('first', 'second', 'arbitration')", name=op.f("ck_decisions_read_kind")
        ),
        sa.CheckConstraint(
            "severity_at_decision IN ('severe', 'unscored', 'indeterminate', 'low')",
            name=op.f("ck_decisions_severity_at_decision"),
        ),
        sa.CheckConstraint("supersedes_id <> id", name=op.f("ck_decisions_supersedes_another")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_decisions_case_id_cases")),
        sa.ForeignKeyConstraint(
            ["clinician_id"], ["clinicians.id"], name=op.f("fk_decisions_clinician_id_clinicians")
        ),
        sa.ForeignKeyConstraint(
            ["supersedes_id"], ["decisions.id"], name=op.f("fk_decisions_supersedes_id_decisions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("supersedes_id", name=op.f("uq_decisions_supersedes_id")),
    )
    op.create_index("ix_decisions_case_id", "decisions", ["case_id", "id"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("image_type", sa.String(length=32), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("byte_size", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("scoring", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=32), nullable=True),
        sa.Column("failure", sa.String(length=500), nullable=True),
        sa.CheckConstraint(
            "(image_type = 'overview') = (scoring = 'not_scored')", name=op.f("ck_images_overview")
        ),
        sa.CheckConstraint(
            "(severity IS NOT NULL) = (scoring = 'scored')",
            name=op.f("ck_images_severity_if_scored"),
        ),
        sa.CheckConstraint(
            "image_type IN ('dermoscopic', 'close_up', 'overview')",
            name=op.f("ck_images_image_type"),
        ),
        sa.CheckConstraint(
            "scoring IN ('pending', 'scored', 'failed', 'not_scored')",
            name=op.f("ck_images_scoring"),
        ),
        sa.CheckConstraint(
            "severity IN ('severe', 'unscored', 'indeterminate', 'low')",
            name=op.f("ck_images_severity"),
        ),
        sa.CheckConstraint(
            "byte_size > 0 AND width > 0 AND height > 0", name=op.f("ck_images_size")
        ),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_images_sha256")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_images_case_id_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("case_id", "position", name=op.f("uq_images_case_id_position")),
    )
    op.create_table(
        "intake_requests",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "octet_length(fingerprint) = 32", name=op.f("ck_intake_requests_fingerprint")
        ),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_intake_requests_case_id_cases")
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id"], ["clinics.id"], name=op.f("fk_intake_requests_clinic_id_clinics")
        ),
        sa.PrimaryKeyConstraint("clinic_id", "idempotency_key", name=op.f("pk_intake_requests")),
    )
    op.create_table(
        "review_claims",
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("clinician_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column(
            "claimed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_review_claims_case_id_cases")
        ),
        sa.ForeignKeyConstraint(
            ["clinician_id"],
            ["clinicians.id"],
            name=op.f("fk_review_claims_clinician_id_clinicians"),
        ),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_review_claims")),
    )
    op.create_index(
        op.f("ix_review_claims_clinician_id"), "review_claims", ["clinician_id"], unique=False
    )
    op.create_table(
        "triage_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("from_severity", sa.String(length=32), nullable=True),
        sa.Column("to_severity", sa.String(length=32), nullable=False),
        sa.Column("from_lane", sa.SmallInteger(), nullable=True),
        sa.Column("to_lane", sa.SmallInteger(), nullable=False),
        sa.Column("from_state", sa.String(length=32), nullable=True),
        sa.Column("to_state", sa.String(length=32), nullable=False),
        sa.Column("policy_id", sa.Integer(), nullable=False),
        sa.Column("release_id", sa.SmallInteger(), nullable=True),
        sa.Column("image_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "from_severity IN ('severe', 'unscored', 'indeterminate', 'low')",
            name=op.f("ck_triage_events_from_severity"),
        ),
        sa.CheckConstraint(
            "from_state IN ('open', 'awaiting_retake', 'decided', 'withdrawn')",
            name=op.f("ck_triage_events_from_state"),
        ),
        sa.CheckConstraint(
            "kind IN ('received', 'scored', 'upgraded', 'aged', 'decided', 'replaced', 'recalled')",
            name=op.f("ck_triage_events_kind"),
        ),
        sa.CheckConstraint(
            "to_severity IN ('severe', 'unscored', 'indeterminate', 'low')",
            name=op.f("ck_triage_events_to_severity"),
        ),
        sa.CheckConstraint(
            "to_state IN ('open', 'awaiting_retake', 'decided', 'withdrawn')",
            name=op.f("ck_triage_events_to_state"),
        ),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_triage_events_case_id_cases")
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.id"], name=op.f("fk_triage_events_policy_id_policies")
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_triage_events_release_id_releases")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triage_events")),
    )
    op.create_index("ix_triage_events_case_id", "triage_events", ["case_id", "id"], unique=False)
    op.create_table(
        "assessments",
        sa.Column("release_id", sa.SmallInteger(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("p_severe", sa.REAL(), nullable=False),
        sa.Column("probabilities", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.Column("disagreement", sa.REAL(), nullable=False),
        sa.Column("out_of_scope", sa.REAL(), nullable=True),
        sa.Column("members", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("quality", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "cardinality(probabilities) = 7", name=op.f("ck_assessments_probabilities")
        ),
        sa.CheckConstraint(
            "disagreement BETWEEN 0 AND 1", name=op.f("ck_assessments_disagreement")
        ),
        sa.CheckConstraint("p_severe BETWEEN 0 AND 1", name=op.f("ck_assessments_p_severe")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_assessments_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_assessments_release_id_releases")
        ),
        sa.PrimaryKeyConstraint("release_id", "image_id", name=op.f("pk_assessments")),
    )
    op.create_index(
        "ix_assessments_created_at",
        "assessments",
        ["created_at"],
        unique=False,
        postgresql_using="brin",
    )
    op.create_index("ix_assessments_image_id", "assessments", ["image_id"], unique=False)
    op.create_table(
        "pending_images",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("priority_rank", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_expires_at IS NULL)",
            name=op.f("ck_pending_images_whole_lease"),
        ),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_pending_images_case_id_cases")
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_pending_images_image_id_images")
        ),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_pending_images")),
        postgresql_with={
            "fillfactor": 70,
            "autovacuum_vacuum_scale_factor": 0.01,
            "autovacuum_vacuum_threshold": 500,
        },
    )
    op.create_index(op.f("ix_pending_images_case_id"), "pending_images", ["case_id"], unique=False)
    op.create_index(
        "ix_pending_images_order",
        "pending_images",
        ["priority_rank", "due_at", "image_id"],
        unique=False,
    )
    op.create_index("ix_pending_images_worker_id", "pending_images", ["worker_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_pending_images_worker_id", table_name="pending_images")
    op.drop_index("ix_pending_images_order", table_name="pending_images")
    op.drop_index(op.f("ix_pending_images_case_id"), table_name="pending_images")
    op.drop_table("pending_images")
    op.drop_index("ix_assessments_image_id", table_name="assessments")
    op.drop_index("ix_assessments_created_at", table_name="assessments", postgresql_using="brin")
    op.drop_table("assessments")
    op.drop_index("ix_triage_events_case_id", table_name="triage_events")
    op.drop_table("triage_events")
    op.drop_index(op.f("ix_review_claims_clinician_id"), table_name="review_claims")
    op.drop_table("review_claims")
    op.drop_table("intake_requests")
    op.drop_table("images")
    op.drop_index("ix_decisions_case_id", table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(op.f("ix_clinician_sessions_clinician_id"), table_name="clinician_sessions")
    op.drop_table("clinician_sessions")
    op.drop_index(
        "ix_cases_awaiting_retake",
        table_name="cases",
        postgresql_where=sa.text("state = 'awaiting_retake'"),
    )
    op.drop_index(
        "ix_cases_worklist", table_name="cases", postgresql_where=sa.text("state = 'open'")
    )
    op.drop_index("ix_cases_changes", table_name="cases")
    op.drop_index(
        "ix_cases_ages_at",
        table_name="cases",
        postgresql_where=sa.text("state = 'open' AND ages_at IS NOT NULL"),
    )
    op.drop_table("cases")
    op.drop_index(op.f("ix_api_keys_clinic_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("workers")
    op.drop_index(
        "uq_releases_one_active", table_name="releases", postgresql_where=sa.text("mode = 'active'")
    )
    op.drop_table("releases")
    op.drop_index(
        "uq_policies_one_active", table_name="policies", postgresql_where=sa.text("active")
    )
    op.drop_table("policies")
    op.drop_table("clinics")
    op.drop_table("clinicians")
    op.drop_index("ix_audit_log_case_id", table_name="audit_log")
    op.drop_index("ix_audit_log_actor_id", table_name="audit_log")
    op.drop_index("ix_audit_log_action", table_name="audit_log")
    op.drop_table("audit_log")
    op.execute(sa.schema.DropSequence(sa.Sequence("claim_tokens")))
    op.execute(sa.schema.DropSequence(sa.Sequence("lease_tokens")))

"""Who activated which release, one shadow at most, and whose score an image's severity is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "release_activations",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("release_id", sa.SmallInteger(), nullable=False),
        sa.Column("previous_release_id", sa.SmallInteger(), nullable=True),
        sa.Column("policy_id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("override_reason", sa.String(length=500), nullable=True),
        sa.Column("sensitivity_low", sa.REAL(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "override_reason <> ''", name=op.f("ck_release_activations_override_reason")
        ),
        sa.CheckConstraint(
            "previous_release_id <> release_id",
            name=op.f("ck_release_activations_previous_is_another"),
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.id"], name=op.f("fk_release_activations_policy_id_policies")
        ),
        sa.ForeignKeyConstraint(
            ["previous_release_id"],
            ["releases.id"],
            name=op.f("fk_release_activations_previous_release_id_releases"),
        ),
        sa.ForeignKeyConstraint(
            ["release_id"],
            ["releases.id"],
            name=op.f("fk_release_activations_release_id_releases"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release_activations")),
        sa.UniqueConstraint("policy_id", name=op.f("uq_release_activations_policy_id")),
    )
    op.create_index(
        "uq_releases_one_shadow",
        "releases",
        ["mode"],
        unique=True,
        postgresql_where=sa.text("mode = 'shadow'"),
    )
    op.add_column("images", sa.Column("release_id", sa.SmallInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_images_release_id_releases"), "images", "releases", ["release_id"], ["id"]
    )
    # Until now one release triaged everything, and its installation was the one activation.
    op.execute("""
        INSERT INTO release_activations (release_id, policy_id, actor, sensitivity_low, created_at)
        SELECT r.id, p.id, 'installation',
               (r.manifest #>> '{figures,sensitivity_lower,low}')::real,
               coalesce(r.activated_at, r.created_at)
        FROM releases r CROSS JOIN policies p WHERE r.mode = 'active' AND p.active""")
    op.execute("""
        UPDATE images SET release_id = (
            SELECT a.release_id FROM assessments a JOIN releases r ON r.id = a.release_id
            WHERE a.image_id = images.id AND r.mode <> 'shadow'
            ORDER BY a.created_at DESC, a.release_id DESC LIMIT 1)
        WHERE scoring = 'scored'""")


def downgrade() -> None:
    op.drop_constraint(op.f("fk_images_release_id_releases"), "images", type_="foreignkey")
    op.drop_column("images", "release_id")
    op.drop_index(
        "uq_releases_one_shadow", table_name="releases", postgresql_where=sa.text("mode = 'shadow'")
    )
    op.drop_table("release_activations")

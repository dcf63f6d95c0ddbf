"""Images and chunks whose worker died are suspects; heat maps wait in a table."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("pending_images", "rescore_chunks"):
        op.add_column(
            table,
            sa.Column("suspect", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        )
    op.create_index(
        "ix_pending_images_suspects",
        "pending_images",
        ["priority_rank", "due_at", "image_id"],
        postgresql_where=sa.text("suspect OR lease_token IS NOT NULL"),
    )
    op.create_table(
        "pending_heat_maps",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("release_id", sa.SmallInteger(), nullable=False),
        sa.Column(
            "queued_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_pending_heat_maps_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_pending_heat_maps_release_id_releases")
        ),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_pending_heat_maps")),
    )
    op.create_index("ix_pending_heat_maps_order", "pending_heat_maps", ["attempts", "queued_at"])


def downgrade() -> None:
    op.drop_table("pending_heat_maps")
    op.drop_index("ix_pending_images_suspects", "pending_images")
    for table in ("rescore_chunks", "pending_images"):
        op.drop_column(table, "suspect")

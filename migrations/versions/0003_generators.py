"""Generators that were trained for a project: what they are, where they lie, whether they serve."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Of a project, for its users' histories are what it was trained on. One of them serves at most;
# none: the generator that the settings name.
STATEMENTS = (
    """
    create table generators (
        project_id text collate "C" not null,
        name text collate "C" not null,
        kind text not null,
        base_model text,
        artifact_uri text not null,
        sha256 bytea not null,
        status text not null default 'candidate',
        metrics jsonb not null,
        created_at timestamptz not null default now(),
        constraint pk_generators primary key (project_id, name),
        constraint ck_generators_kind check (kind in ('extractive', 'llm')),
        constraint ck_generators_status check (status in ('candidate', 'serving', 'retired')),
        constraint ck_generators_sha256 check (octet_length(sha256) = 32)
    )
    """,
    """
    create unique index uq_generators_serving on generators (project_id)
    where status = 'serving'
    """,
    "alter table generators enable row level security",
    "alter table generators force row level security",
    """
    create policy project_isolation on generators
    using (project_id = nullif(current_setting('bump.project_id', true), ''))
    """,
    # Nothing is deleted: a profile says which generator wrote it.
    "grant select, insert, update on generators to bump_app",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table generators")

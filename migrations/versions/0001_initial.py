"""The first schema: tables, isolation of projects, and the functions that may cross it."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "projects",
    "api_keys",
    "users",
    "interactions",
    "profiles",
    "corrections",
    "regenerations",
    "population_stats",
    "idempotency_keys",
    "erasures",
)

# bump_app: what the API and the workers may do; a login role is granted it.
# bump_definer: owns the functions that cross projects; nobody logs in as it.
ROLES = """
do $$
begin
    if not exists (select from pg_roles where rolname = 'bump_app') then
        create role bump_app nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'bump_definer') then
        create role bump_definer nologin;
    end if;
    -- Membership, so that the functions can be handed over, but without what the role may see
    -- where Postgres can tell the two apart; a superuser needs neither.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant bump_definer to %I', current_user)
            || case when current_setting('server_version_num')::int >= 160000
                    then ' with inherit false, set true' else '' end;
    end if;
end $$
"""

SCHEMA = """
create sequence lease_tokens;

create table projects (
    project_id text collate "C" not null,
    created_at timestamptz not null default now(),
    constraint pk_projects primary key (project_id),
    constraint ck_projects_project_id_is_a_slug check (project_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);

create table api_keys (
    project_id text collate "C" not null,
    key_id uuid not null,
    prefix text collate "C" not null,
    secret_sha256 bytea not null,
    scopes text[] not null,
    name text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint pk_api_keys primary key (project_id, key_id),
    constraint uq_api_keys_prefix unique (prefix),
    constraint fk_api_keys_project_id foreign key (project_id) references projects (project_id)
);

create table users (
    project_id text collate "C" not null,
    user_id text collate "C" not null,
    revision bigint not null default 0,
    interaction_count bigint not null default 0,
    first_seen_at timestamptz,
    last_seen_at timestamptz,
    profiling text not null default 'on',
    counted_revision bigint not null default 0,
    constraint pk_users primary key (project_id, user_id),
    constraint ck_users_profiling check (profiling in ('on', 'paused'))
) with (fillfactor = 70);

create table interactions (
    project_id text collate "C" not null,
    user_id text collate "C" not null,
    source text collate "C" not null,
    event_id text collate "C" not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null default now(),
    revision bigint not null,
    type text not null,
    text text not null,
    attributes jsonb not null,
    constraint pk_interactions primary key (project_id, user_id, source, event_id)
);
create index ix_interactions_project_id_user_id_occurred_at_source_event_id
    on interactions (project_id, user_id, occurred_at, source, event_id);

create table profiles (
    project_id text collate "C" not null,
    user_id text collate "C" not null,
    version integer not null,
    revision bigint not null,
    generator text not null,
    text text not null,
    statements jsonb not null,
    tokens integer not null,
    status text not null,
    origin text not null,
    created_at timestamptz not null default now(),
    constraint pk_profiles primary key (project_id, user_id, version),
    constraint ck_profiles_status
        check (status in ('serving', 'shadow', 'superseded', 'quarantined')),
    constraint ck_profiles_origin check (origin in ('generated', 'edited', 'rolled_back'))
);
create unique index uq_profiles_serving on profiles (project_id, user_id) where status = 'serving';

create table corrections (
    project_id text collate "C" not null,
    user_id text collate "C" not null,
    pinned text[] not null,
    suppressed text[] not null,
    updated_at timestamptz not null default now(),
    constraint pk_corrections primary key (project_id, user_id)
);

create table regenerations (
    project_id text collate "C" not null,
    user_id text collate "C" not null,
    requested_revision bigint not null,
    first_requested_at timestamptz not null,
    last_requested_at timestamptz not null,
    due_at timestamptz not null,
    priority smallint not null,
    lease_token bigint,
    leased_revision bigint,
    attempts integer not null default 0,
    last_error text,
    parked_at timestamptz,
    constraint pk_regenerations primary key (project_id, user_id),
    constraint ck_regenerations_priority check (priority in (0, 1, 2))
) with (fillfactor = 50);
create index ix_regenerations_priority_due_at on regenerations (priority, due_at);

create table population_stats (
    project_id text collate "C" not null,
    statistics bytea not null,
    interactions bigint not null,
    updated_at timestamptz not null default now(),
    constraint pk_population_stats primary key (project_id)
);

create table idempotency_keys (
    project_id text collate "C" not null,
    idempotency_key text collate "C" not null,
    request_sha256 bytea not null,
    outcome bytea,
    created_at timestamptz not null default now(),
    constraint pk_idempotency_keys primary key (project_id, idempotency_key)
);
create index ix_idempotency_keys_project_id_created_at
    on idempotency_keys (project_id, created_at);

create table erasures (
    project_id text collate "C" not null,
    receipt_id uuid not null,
    user_digest bytea not null,
    interactions bigint not null,
    profiles bigint not null,
    erased_at timestamptz not null default now(),
    constraint pk_erasures primary key (project_id, receipt_id)
);
create index ix_erasures_project_id_user_digest on erasures (project_id, user_digest);
"""

ISOLATION = """
alter table {table} enable row level security;
alter table {table} force row level security;
create policy project_isolation on {table}
    using (project_id = nullif(current_setting('bump.project_id', true), ''));
"""

# Claims rows that are due, over all projects. A row whose events are still coming (debounce not
# over, max_delay not reached) is re-armed to that moment instead; priority 0 does not wait. It is
# used up by the claim, so that a 0 seen later was asked for while the job ran.
CLAIM = """
create function claim_regenerations(
    max_jobs integer, lease double precision, debounce double precision,
    max_delay double precision
)
returns table (
    project_id text, user_id text, lease_token bigint, attempts integer,
    first_requested_at timestamptz
)
language sql volatile security definer
set search_path = public, pg_temp
begin atomic
    with due as (
        select r.project_id, r.user_id,
               case when r.priority = 0 then now()
                    else least(r.last_requested_at + make_interval(secs => debounce),
                               r.first_requested_at + make_interval(secs => max_delay))
               end as ready_at
        from regenerations r
        where r.priority in (0, 1, 2) and r.due_at <= now()
        order by r.priority, r.due_at
        limit max_jobs
        for update skip locked
    ), taken as (
        update regenerations r
        set due_at = case when d.ready_at > now() then d.ready_at
                          else now() + make_interval(secs => lease) end,
            lease_token = case when d.ready_at > now() then null
                               else nextval('lease_tokens') end,
            leased_revision = case when d.ready_at > now() then null
                                   else r.requested_revision end,
            attempts = r.attempts + case when d.ready_at > now() then 0 else 1 end,
            priority = greatest(r.priority, 1)
        from due d
        where r.project_id = d.project_id and r.user_id = d.user_id
        returning r.project_id, r.user_id, r.lease_token, r.attempts, r.first_requested_at
    )
    select t.project_id, t.user_id, t.lease_token, t.attempts, t.first_requested_at
    from taken t where t.lease_token is not null;
end
"""

BACKLOG = """
create function regeneration_backlog()
returns table (waiting bigint, parked bigint, oldest_seconds double precision)
language sql stable security definer
set search_path = public, pg_temp
begin atomic
    select count(*) filter (where r.parked_at is null),
           count(*) filter (where r.parked_at is not null),
           coalesce(extract(epoch from now() - min(r.due_at)
                    filter (where r.parked_at is null and r.due_at <= now())), 0)
    from regenerations r;
end
"""

FIND_KEY = """
create function find_api_key(key_prefix text)
returns table (project_id text, scopes text[], secret_sha256 bytea)
language sql stable security definer
set search_path = public, pg_temp
begin atomic
    select k.project_id, k.scopes, k.secret_sha256
    from api_keys k
    where k.prefix = key_prefix and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > now());
end
"""

ANY_KEY = """
create function any_live_api_key() returns boolean
language sql stable security definer
set search_path = public, pg_temp
begin atomic
    select exists (
        select from api_keys k
        where k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
    );
end
"""

FUNCTIONS = {
    "claim_regenerations(integer, double precision, double precision, double precision)": CLAIM,
    "regeneration_backlog()": BACKLOG,
    "find_api_key(text)": FIND_KEY,
    "any_live_api_key()": ANY_KEY,
}

GRANTS = """
grant usage on schema public to bump_app, bump_definer;
grant select, insert, update, delete on
    users, interactions, profiles, corrections, regenerations, population_stats, idempotency_keys
    to bump_app;
grant select, insert on erasures to bump_app;
grant usage on sequence lease_tokens to bump_definer;
grant select on alembic_version to bump_app;

-- What the functions that cross projects may touch, and nothing else.
grant select, update on regenerations to bump_definer;
grant select on api_keys to bump_definer;
create policy across_projects on regenerations to bump_definer using (true);
create policy across_projects on api_keys for select to bump_definer using (true);
"""


def _execute_each(script: str) -> None:
    # The driver prepares every statement, so it takes one at a time.
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)


def upgrade() -> None:
    op.execute(ROLES)
    _execute_each(SCHEMA)
    for table in TABLES:
        _execute_each(ISOLATION.format(table=table))
    _execute_each(GRANTS)
    # Ownership of a function can only go to a role that may create in the schema.
    op.execute("grant create on schema public to bump_definer")
    for signature, definition in FUNCTIONS.items():
        op.execute(definition)
        # Before it changes hands: afterwards we have no say over it.
        op.execute(f"revoke all on function {signature} from public")
        op.execute(f"grant execute on function {signature} to bump_app")
        op.execute(f"alter function {signature} owner to bump_definer")
    op.execute("revoke create on schema public from bump_definer")


def downgrade() -> None:
    for signature in FUNCTIONS:
        op.execute(f"drop function {signature}")
    for table in reversed(TABLES):
        op.execute(f"drop table {table}")
    op.execute("drop sequence lease_tokens")

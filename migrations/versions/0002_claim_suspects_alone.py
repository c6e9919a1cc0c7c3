"""A regeneration whose workers died twice is claimed alone, so that it cannot take others along."""

from alembic import op
from alembic.script import ScriptDirectory

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SIGNATURE = "claim_regenerations(integer, double precision, double precision, double precision)"

# Claims rows that are due, over all projects. A row whose events are still coming (debounce not
# over, max_delay not reached) is re-armed to that moment instead; priority 0 does not wait, nor
# does a row that was claimed before and whose lease ran out. A priority of 0 is used up by the
# claim, so that a 0 seen later was asked for while the job ran.
#
# A lease that runs out means that the worker died or froze. Twice in a row, and the job itself is
# suspect: it comes alone, for what is claimed with it would be lost with it again and again.
CLAIM = """
create function claim_regenerations(
    max_jobs integer, lease double precision, debounce double precision,
    max_delay double precision
)
returns table (
    project_id text, user_id text, lease_token bigint, attempts integer,
    first_requested_at timestamptz, suspect boolean
)
language sql volatile security definer
set search_path = public, pg_temp
begin atomic
    with due as (
        select r.project_id, r.user_id, r.priority, r.due_at,
               r.lease_token is not null and r.attempts > 1 as suspect,
               case when r.priority = 0 or r.lease_token is not null then now()
                    else least(r.last_requested_at + make_interval(secs => debounce),
                               r.first_requested_at + make_interval(secs => max_delay))
               end as ready_at
        from regenerations r
        where r.priority in (0, 1, 2) and r.due_at <= now()
        order by r.priority, r.due_at
        limit max_jobs
        for update skip locked
    ), ordered as (
        select d.*, row_number() over urgency = 1 as first,
               first_value(d.suspect) over urgency as alone
        from due d
        window urgency as (order by d.priority, d.due_at, d.project_id, d.user_id)
    ), taken as (
        update regenerations r
        set due_at = case when o.ready_at > now() then o.ready_at
                          else now() + make_interval(secs => lease) end,
            lease_token = case when o.ready_at > now() then null
                               else nextval('lease_tokens') end,
            leased_revision = case when o.ready_at > now() then null
                                   else r.requested_revision end,
            attempts = r.attempts + case when o.ready_at > now() then 0 else 1 end,
            priority = greatest(r.priority, 1)
        from ordered o
        where r.project_id = o.project_id and r.user_id = o.user_id
          and case when o.alone then o.first else not o.suspect end
        returning r.project_id, r.user_id, r.lease_token, r.attempts, r.first_requested_at,
                  o.suspect
    )
    select t.project_id, t.user_id, t.lease_token, t.attempts, t.first_requested_at, t.suspect
    from taken t where t.lease_token is not null;
end
"""


def _replace(definition: str) -> None:
    # What a function returns cannot be changed. Whoever calls it meanwhile waits for the commit.
    op.execute(f"drop function {SIGNATURE}")
    # Ownership of a function can only go to a role that may create in the schema.
    op.execute("grant create on schema public to bump_definer")
    op.execute(definition)
    op.execute(f"revoke all on function {SIGNATURE} from public")
    op.execute(f"grant execute on function {SIGNATURE} to bump_app")
    op.execute(f"alter function {SIGNATURE} owner to bump_definer")
    op.execute("revoke create on schema public from bump_definer")


def upgrade() -> None:
    _replace(CLAIM)


def downgrade() -> None:
    scripts = ScriptDirectory.from_config(op.get_context().config)
    _replace(scripts.get_revision(down_revision).module.CLAIM)

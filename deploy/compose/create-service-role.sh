#!/bin/sh
# The role of the API and the workers. It is no superuser, so row-level security binds it. And errors
# are logged without their details, which quote ids: "Key (project_id, user_id)=(…) already exists".
set -eu
psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=ON_ERROR_STOP=1 \
    --set=password="$POSTGRES_SERVICE_PASSWORD" <<'SQL'
create role bump_service login password :'password';
alter database :"DBNAME" set log_error_verbosity = terse;
SQL

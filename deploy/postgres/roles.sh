#!/bin/bash
# Roles and databases, made once, when the data folder is empty. The migrations give the roles their rights.
set -euo pipefail

psql -v ON_ERROR_STOP=1 --username postgres --dbname checks \
    -v owner="$CHECKS_OWNER_PASSWORD" -v api="$CHECKS_API_PASSWORD" -v sink="$CHECKS_SINK_PASSWORD" \
    -v bi="$CHECKS_BI_PASSWORD" -v registry="$CHECKS_REGISTRY_PASSWORD" <<'SQL'
CREATE ROLE checks_owner LOGIN CREATEDB PASSWORD :'owner';
CREATE ROLE checks_api LOGIN PASSWORD :'api';
CREATE ROLE checks_sink LOGIN PASSWORD :'sink';
CREATE ROLE checks_bi LOGIN PASSWORD :'bi';
CREATE ROLE checks_registry LOGIN PASSWORD :'registry';
ALTER DATABASE checks OWNER TO checks_owner;
REVOKE CONNECT ON DATABASE checks FROM PUBLIC;
GRANT CONNECT ON DATABASE checks TO checks_api, checks_sink, checks_bi;
ALTER SCHEMA public OWNER TO checks_owner;
CREATE DATABASE registry OWNER checks_registry;
SQL

#!/bin/bash
# Makes the roles and the database of Kizo. The image of PostgreSQL runs it once, on a new volume.
set -eu
secrets=${KIZO_SECRETS:-/run/secrets}
owner=$(cat "$secrets/owner-password") app=$(cat "$secrets/app-password")
psql -v ON_ERROR_STOP=1 -U postgres -d postgres <<SQL
CREATE ROLE kizo_owner LOGIN PASSWORD '$owner';
CREATE ROLE kizo_app LOGIN PASSWORD '$app';
CREATE DATABASE kizo OWNER kizo_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
REVOKE TEMPORARY ON DATABASE kizo FROM PUBLIC;
SQL

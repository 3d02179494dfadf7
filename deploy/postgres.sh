#!/bin/sh
# Makes the roles and the database in a new PostgreSQL; the image runs it once.
set -eu
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv database_password DATABASE_PASSWORD
\getenv replication_password REPLICATION_PASSWORD
CREATE ROLE rookery LOGIN PASSWORD :'database_password';
CREATE DATABASE rookery OWNER rookery TEMPLATE template0 ENCODING 'UTF8';
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'replication_password';
SQL
# "all" in the image's own lines is every database, but not replication.
echo "host replication replication all scram-sha-256" >>"$PGDATA/pg_hba.conf"

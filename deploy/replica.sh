#!/bin/sh
# A replica: copies the primary where there is nothing yet, then runs what it is told.
set -eu
umask 077
passfile=${PGDATA%/*}/replication
printf '%s:*:*:replication:%s\n' "$PRIMARY_HOST" "$REPLICATION_PASSWORD" >"$passfile"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    rm -rf "$PGDATA.new"
    pg_basebackup -D "$PGDATA.new" -R -X stream --checkpoint=fast \
        -d "host=$PRIMARY_HOST port=$PRIMARY_PORT user=replication passfile=$passfile"
    mv "$PGDATA.new" "$PGDATA"
fi
exec "$@"

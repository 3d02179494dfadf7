#!/bin/sh
# Redis with its password in a file, and not among the arguments, which everybody on the machine sees.
set -eu
umask 077
file=$(mktemp)
printf 'requirepass %s\n' "$REDIS_PASSWORD" >"$file"
exec redis-server "$file" "$@"

#!/bin/bash
# Makes the cluster, the role and the database on the first start, as the official image does, and then
# serves. START_DELAY_SECS is ours: a server that comes late.
set -euo pipefail

PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
if [[ $(id -u) = 0 ]]; then
	mkdir -p "$PGDATA" /run/postgresql
	chown postgres: "$PGDATA" /run/postgresql
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

sleep "${START_DELAY_SECS:-0}"
user=${POSTGRES_USER:-postgres}
if [[ ! -s $PGDATA/PG_VERSION ]]; then
	password=${POSTGRES_PASSWORD_FILE:-$(mktemp)}
	[[ -n ${POSTGRES_PASSWORD_FILE:-} ]] || printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
	initdb --username="$user" --pwfile="$password" --encoding=UTF8 --locale=C.UTF-8 \
		--auth-local=trust --auth-host=scram-sha-256
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	pg_ctl start --wait --options="-c listen_addresses=''"
	[[ ${POSTGRES_DB:-$user} = postgres ]] || createdb --username="$user" "${POSTGRES_DB:-$user}"
	pg_ctl stop --wait
fi
exec "$@" -c listen_addresses='*'

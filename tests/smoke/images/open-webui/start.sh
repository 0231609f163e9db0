#!/usr/bin/env bash
# What upstream's start.sh does as far as a container sees it: a secret key made on first start, and
# uvicorn in place of the shell. Arguments replace `--workers`.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit

if [[ -z $WEBUI_SECRET_KEY ]]; then
	key_file=${WEBUI_SECRET_KEY_FILE:-.webui_secret_key}
	[[ -e $key_file ]] || head -c 12 /dev/urandom | base64 >"$key_file"
	WEBUI_SECRET_KEY=$(<"$key_file")
fi
export WEBUI_SECRET_KEY

[[ $# -gt 0 ]] || set -- --workers "${UVICORN_WORKERS:-1}"
exec python3 -m uvicorn open_webui.main:app \
	--host "${HOST:-0.0.0.0}" --port "${PORT:-8080}" --forwarded-allow-ips '*' "$@"

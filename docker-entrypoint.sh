#!/bin/sh
# ENTRYPOINT of the image: hands the server's command to `webui-init boot`, and any other to exec.
#
#   docker run IMAGE                      the server
#   docker run IMAGE --workers 4          the server, with arguments for start.sh
#   docker run IMAGE bash start.sh        the server
#   docker run IMAGE bash                 a shell; webui-init is not involved
#
# Only this script tells the server's command from others; `webui-init boot --` always runs its flow.
set -eu

fail() {
	printf 'docker-entrypoint.sh: %s\n' "$1" >&2
	exit 78
}

# secret VAR: if VAR_FILE is set, VAR becomes that file's content, as in Docker's official images.
# (WEBUI_SECRET_KEY_FILE is not one of these: start.sh reads it itself, and creates the file.)
secret() {
	eval "value=\${$1:-} file=\${$1_FILE:-}"
	[ -n "$file" ] || return 0
	[ -z "$value" ] || fail "both $1 and $1_FILE are set, and they exclude each other; unset one of them."
	value=$(cat "$file") || fail "$1_FILE names a file that uid $(id -u) cannot read."
	[ -n "$value" ] || fail "$1_FILE names $file, which is empty."
	export "$1=$value"
	unset "$1_FILE"
}

# serves WORD...: is this a way of starting Open WebUI's server?
serves() {
	case $1 in
	sh | bash | dash | ash | */sh | */bash | */dash | */ash)
		shift
		while [ $# -gt 0 ]; do
			case $1 in
			-c | -[!-]*c) # a script in a word: read it, for an app on an empty database is the worse mistake
				case ${2:-} in
				*sh\ start.sh* | *sh\ */start.sh* | *./start.sh* | *open_webui.main:app* | *open-webui\ serve*) return 0 ;;
				*) return 1 ;;
				esac
				;;
			-*) shift ;;
			start.sh | */start.sh) return 0 ;;
			*) return 1 ;;
			esac
		done
		;;
	start.sh | */start.sh) return 0 ;;
	open-webui | */open-webui) [ "${2:-}" = serve ] && return 0 ;;
	uvicorn | */uvicorn | gunicorn | */gunicorn | python | python3 | python3.* | */python | */python3 | */python3.*)
		for word; do
			case $word in
			open_webui.main:app | open_webui.main) return 0 ;;
			esac
		done
		;;
	esac
	return 1
}

case ${1:--} in
-*) set -- bash start.sh "$@" ;;
esac

if serves "$@"; then
	secret DATABASE_URL
	secret DATABASE_PASSWORD
	exec webui-init boot -- "$@"
fi
exec "$@"

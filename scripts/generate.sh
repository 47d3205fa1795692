#!/usr/bin/env bash
# Makes the generated Go code from the .proto files again. It needs Go alone.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
	cat <<'HELP'
Usage: scripts/generate.sh

Writes the .pb.go and .connect.go files beside the .proto files that they are made
from. scripts/test.sh generated says whether they are stale.

Example:
  scripts/generate.sh && git diff --stat
HELP
}

case ${1-} in -h | --help) usage && exit 0 ;; esac
if (($#)); then
	printf 'scripts/generate.sh: unknown argument %s\n' "$1" >&2
	usage >&2
	exit 2
fi
exec go run ./scripts/genproto

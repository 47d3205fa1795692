#!/usr/bin/env bash
# Reproduces the README's tables of comparison, and says where they differ from the
# committed ones. Needs Go, and takes all else from go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
	cat <<'HELP'
Usage: scripts/bench.sh [--quick] [--update]
       scripts/bench.sh --tables

Plays every comparison (cmd/lab/bench/runs.go lists them), prints its tables as
Markdown, and names each figure that differs from testnet/bench/results.json by more
than its margin: in the event world nothing while its code is the same, else 10 %; in
the packet world, which does not repeat, 30 %; for the largest latency twice that. It
ends with 1 if there is one.

  --quick    the event world alone
  --update   write the results, and draw the picture, instead of failing
  --tables   print the tables of the committed results, and run nothing

Examples:
  scripts/bench.sh --quick
  scripts/bench.sh --update && git diff testnet/bench
HELP
}

flags=()
for arg in "$@"; do
	case $arg in
	-h | --help) usage && exit 0 ;;
	--quick | --update | --tables) flags+=("$arg") ;;
	*)
		printf 'scripts/bench.sh: unknown argument %s\n' "$arg" >&2
		usage >&2
		exit 2
		;;
	esac
done
mkdir -p testnet/bench
go build -o bin/lab ./cmd/lab
exec bin/lab bench "${flags[@]}"

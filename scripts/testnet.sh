#!/usr/bin/env bash
# A testnet by hand: builds the peer program and runs "peer testnet" with whatever
# follows. The network's files are in .testnet, or where --dir says.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

if [[ $# -eq 0 || $1 == -h || $1 == --help ]]; then
	cat <<'HELP'
Usage: scripts/testnet.sh COMMAND [FLAGS]

  up [-n 7]                 make a testnet and start it, or start one again
  status                    how each peer is doing
  submit FILE               submit each line through peers chosen at random
  load --rate R --duration D --size B
  watch                     the blocks as they spread
  kill PEER | start PEER    SIGKILL a peer; start it again
  report                    how each block spread; whether the ledgers agree
  check [FILE] [--acknowledged]
  down [--remove]           end every process

Example:
  scripts/testnet.sh up && scripts/testnet.sh submit go.sum && scripts/testnet.sh report
HELP
	[[ $# -gt 0 ]] || exit 2
	exit 0
fi
go build -o bin/peer ./cmd/peer
peer=$PWD/bin/peer
cd "$here" # relative paths are from where the script was called
exec "$peer" testnet "$@"

#!/usr/bin/env bash
# The main job, once, on this machine: builds, starts a testnet of real peers,
# submits every line of a file through peers chosen at random, shows how each block
# spreads, and checks that all ledgers agree and hold every line exactly once.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

usage() {
	cat <<'HELP'
Usage: scripts/demo.sh [-n PEERS] [--keep] [--dir DIR] [FILE]

  -n PEERS    how many peers (default 7)
  --keep      leave the network running at the end, and say how to go on
  --dir DIR   where the network's files go (default: a temporary directory that is
              deleted at the end; with --keep .demo, begun anew)
  FILE        a transaction per line; empty lines are passed over (default go.sum)

Examples:
  scripts/demo.sh
  scripts/demo.sh -n 12 --keep README.md
HELP
}

die() { # wrong usage
	printf 'scripts/demo.sh: %s\n' "$1" >&2
	usage >&2
	exit 2
}

peers=7 keep=false dir='' file=''
while (($#)); do
	case $1 in
	-n | --dir)
		(($# > 1)) || die "$1 wants a value"
		if [[ $1 == -n ]]; then peers=$2; else dir=$2; fi
		shift
		;;
	--keep) keep=true ;;
	-h | --help) usage && exit 0 ;;
	-*) die "unknown flag $1" ;;
	*)
		[[ -z $file ]] || die "two files: $file and $1"
		file=$1
		;;
	esac
	shift
done
# A relative path is one from where the script was called.
[[ -z $file || $file == /* ]] || file=$here/$file
[[ -z $dir || $dir == /* ]] || dir=$here/$dir
file=${file:-go.sum}
# As many as testnet/local takes.
[[ $peers =~ ^[1-9][0-9]{0,2}$ ]] && ((peers <= 200)) || die "-n $peers: want 1 to 200 peers"
[[ -f $file ]] || die "$file is no file"
[[ -r $file ]] || die "cannot read $file"
lines=$(LC_ALL=C grep -ac $'[^\r]' -- "$file" || true)
((lines > 0)) || die "no lines in $file"
peer=bin/peer

say() { printf '\n== %s\n' "$*"; }
count() { if (($1 == 1)); then echo "1 $2"; else echo "$1 $2s"; fi; }

say "building $peer"
go build -o "$peer" ./cmd/peer

temporary='' up=false fresh=''
if [[ -z $dir ]]; then
	if $keep; then dir=.demo && fresh=--fresh; else dir=$(mktemp -d) && temporary=$dir; fi
fi

# finish runs however the script ends, Ctrl-C included: no process stays behind,
# unless all went well and the network is to be kept.
finish() {
	local code=$?
	trap '' INT TERM
	if $up && ! { $keep && ((code == 0)); }; then
		say 'stopping the network'
		"$peer" testnet down --dir "$dir" || ((code)) || code=1
	fi
	if [[ -n $temporary ]]; then
		rm -rf -- "$temporary"
	fi
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "starting $(count "$peers" peer) on this machine"
started=$SECONDS
small=$((lines / 20 > 25 ? lines / 20 : 25)) # transactions a block, so that there are some to watch
settings=(--block-max-txs "$small")
[[ -n $fresh || ! -f $dir/testnet.json ]] || settings=() # it has its own
up=true # from here on there may be processes
"$peer" testnet up -n "$peers" --dir "$dir" $fresh "${settings[@]}" || {
	code=$?
	up=false # it leaves none when it fails
	exit "$code"
}

say "submitting the $(count "$lines" line) of $file, and watching the blocks spread"
"$peer" testnet submit "$file" --dir "$dir" --watch

say 'how each block spread'
"$peer" testnet report --dir "$dir"

say "checking that all ledgers agree and hold every line of $file exactly once"
"$peer" testnet check "$file" --dir "$dir"

if $keep; then
	say "done in $((SECONDS - started)) s; the network goes on. For example, in $PWD:"
	cat <<NEXT
  $peer testnet status --dir $dir
  $peer testnet watch --dir $dir
  $peer testnet load --rate 200 --duration 10s --dir $dir
  $peer testnet kill $((peers - 1)) --dir $dir
  $peer testnet start $((peers - 1)) --dir $dir
  $peer testnet report --dir $dir
  $peer testnet down --dir $dir
NEXT
else
	say "done in $((SECONDS - started)) s"
fi

#!/usr/bin/env bash
# A testnet under load, with or without peers killed in the middle of it: at the end
# every ledger must agree, and hold every acknowledged transaction exactly once. Or
# scenarios with their checks: some with real peers, or thousands of random ones in the
# event world. Or whether the simulated worlds agree on large blocks.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
	cat <<'HELP'
Usage: scripts/soak.sh --ledger
       scripts/soak.sh --flips
       scripts/soak.sh --scenarios
       scripts/soak.sh --simulate [N]
       scripts/soak.sh --worlds
       scripts/soak.sh --adversary [CASE…]
       scripts/soak.sh [-n PEERS] [--rate R] [--duration D] [--size B] [--kill]
                       [--restores N] [--peer I] [--dir DIR] [-- FLAGS OF testnet up]

  --ledger      instead of a testnet: a process that appends to a ledger is ended with
                SIGKILL 200 times, and no block that it reported may be lost
  --flips       instead of a testnet: each byte of a small home's files goes bad, one at a
                time: the same is found in it, or it is refused with the file's name
  --scenarios   instead of a load: the scenarios crash (20 peers) and crowd (10), with
                real peers
  --simulate N  instead of a testnet: N random scenarios (default 4000) in the event
                world, others than those of scripts/test.sh
  --worlds      instead of a testnet: do the two simulated worlds agree on bodies of
                1 MiB, and on those of 128 KiB in 15 runs? (scripts/test.sh plays 5) Is
                GossipSub as measured elsewhere, of five networks? (there: one) And are
                1,000 blocks of fabric-enhanced as they are known to be?
  --adversary   instead of a load: hostile peers join a testnet of five, one case after
                another (lab adversary --list); what must hold of the honest ones?
  -n PEERS      how many peers (default 20)
  --rate R      transactions a second (default 500)
  --duration D  how long, as Go writes it (default 30s)
  --size B      bytes of payload (default 250)
  --kill        SIGKILL a peer chosen at random, orderer included, again and again,
                and start it again
  --restores N  N times, instead of a duration: SIGKILL a peer chosen at random, orderer
                included, put an old copy of its home in its home's place, and start it.
                Transactions are submitted to those alone that keep their homes meanwhile
  --peer I      kill this peer, not one chosen at random
  --dir DIR     keep the network's files here (default: a temporary directory)

Examples:
  scripts/soak.sh                                 20 peers, 500 tx/s, 30 s
  scripts/soak.sh -n 7 --rate 200 --duration 2m --kill
  scripts/soak.sh -n 5 --kill --peer 0 -- --mode pull
  scripts/soak.sh -n 5 --rate 100 --restores 50
  scripts/soak.sh --simulate 10000
HELP
}

die() {
	printf 'scripts/soak.sh: %s\n' "$1" >&2
	usage >&2
	exit 2
}

# number says whether a text is one above zero, as shells and Go read it.
number() { [[ $1 =~ ^[0-9]{1,9}(\.[0-9]{1,9})?$ && $1 =~ [1-9] ]]; }

# check says before anything is built or started what is wrong with the values.
check() {
	# As many as testnet/local takes.
	[[ $peers =~ ^[1-9][0-9]{0,2}$ ]] && ((peers <= 200)) || die "-n $peers: want 1 to 200 peers"
	number "$rate" || die "--rate $rate: want transactions a second, such as 500"
	[[ $duration =~ ^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$ && $duration =~ [1-9] ]] ||
		die "--duration $duration: want a time with its unit, such as 250ms, 30s or 2m"
	[[ $size =~ ^[0-9]{1,9}(KiB|MiB|GiB)?$ ]] || die "--size $size: want bytes, such as 500 or 64KiB"
	[[ -z $restores || $restores =~ ^[1-9][0-9]{0,4}$ ]] && { [[ -z $restores ]] || ((peers > 1)); } ||
		die "--restores $restores of $peers peers: want a number, and two peers or more"
	[[ -z $victim || $victim =~ ^(0|[1-9][0-9]{0,2})$ ]] && ((${victim:-0} < peers)) || die "--peer $victim: want 0 to $((peers - 1))"
}

# The seeds of scripts/test.sh are below 1001.
simulate() {
	local count=${1:-4000}
	(($# < 2)) || die "--simulate wants nothing after the number, not $2"
	[[ $count =~ ^[1-9][0-9]*$ ]] || die "--simulate wants how many scenarios, not $count"
	GRAPEVINE_SIM_SEEDS=1001-$((1000 + count)) exec go test -count=1 -v -run '^TestLargeRandomScenarios$' -timeout 24h ./testnet/events
}

worlds() {
	go test -count=1 -v -run '^TestLargeFabricEnhancedReachesAll$' ./testnet/events -known-blocks 1000 &&
		go test -count=1 -v -run '^TestLargeBaselineIsTheOneMeasured$' -timeout 24h ./testnet/packets -networks 5 &&
		go test -count=1 -v -run '^TestLargeWorldsAgree$' -timeout 24h ./testnet/packets -agree-seeds 15 &&
		exec go test -count=1 -v -run '^TestLargeWorldsAgree$' -timeout 24h ./testnet/packets -agree-size 1048576
}

alone() { # whether a way to run stands alone: its name, and what follows it
	(($# < 2)) || die "$1 wants nothing after it, not $2"
}

adversary() {
	go build -o bin/ ./cmd/peer ./cmd/lab && exec bin/lab adversary "$@"
}

# What goes wrong in one scenario keeps none of the others from running.
scenarios() {
	local code=0
	go build -o bin/ ./cmd/peer ./cmd/lab
	bin/lab run crash --world processes -n 20 || code=$?
	bin/lab run crowd --world processes -n 10 || code=$?
	exit "$code"
}

peers=20 rate=500 duration=30s size=250 kills=false victim='' dir='' restores=''
while (($#)); do
	case $1 in
	-n | --rate | --duration | --size | --peer | --dir | --restores)
		[[ -n ${2-} ]] || die "$1 wants a value"
		case $1 in
		-n) peers=$2 ;;
		--rate) rate=$2 ;;
		--duration) duration=$2 ;;
		--size) size=$2 ;;
		--peer) victim=$2 ;;
		--restores) restores=$2 ;;
		--dir) dir=$2 ;;
		esac
		shift
		;;
	--kill) kills=true ;;
	--ledger) alone "$@" && GRAPEVINE_SOAK=1 exec go test -count=1 -v -run '^TestKill$' -timeout 30m ./ledger ;;
	--flips) alone "$@" && GRAPEVINE_FLIPS=1 exec go test -count=1 -v -run '^TestLargeFlips$' -timeout 60m ./cmd/peer ;;
	--worlds) alone "$@" && worlds ;;
	--adversary) adversary "${@:2}" ;;
	--scenarios) alone "$@" && scenarios ;;
	--simulate) simulate "${@:2}" ;;
	-h | --help) usage && exit 0 ;;
	--) shift && break ;;
	*) die "unknown argument $1" ;;
	esac
	shift
done

check
say() { printf '\n== %s\n' "$*"; }
go build -o bin/peer ./cmd/peer
temporary=''
if [[ -z $dir ]]; then dir=$(mktemp -d) && temporary=$dir; fi
mkdir -p "$dir"
net() { bin/peer testnet "$@" --dir "$dir"; }

load='' up=false
# finish runs however the script ends: no process stays behind, nor do files that nobody
# needs to find out what went wrong.
finish() {
	local code=$?
	trap '' INT TERM
	if [[ -n $load ]]; then kill "$load" 2>/dev/null || true; fi
	if $up; then net down || ((code)) || code=1; fi
	if [[ -n $load ]]; then # nobody is left to answer it
		kill -KILL "$load" 2>/dev/null || true
		wait "$load" 2>/dev/null || true
	fi
	if [[ -n $temporary ]] && ((code == 0 || code == 2)); then # 2: wrong usage
		rm -rf -- "$temporary"
	else
		printf 'the network'\''s files, logs included, are in %s\n' "$dir"
	fi
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ((peers == 1)); then say 'starting 1 peer'; else say "starting $peers peers"; fi
up=true # from here on there may be processes
net up -n "$peers" "$@" >"$dir/up.txt" || {
	code=$?
	up=false # it leaves none when it fails, and has not touched one that ran already
	exit "$code"
}
net status

# again starts a peer that was killed. An orderer whose lock may be old says that no other
# node has its key, and that what it signed is known to others.
again() {
	if (($1 == 0)) && [[ -n $restores ]]; then net start "$1" --reset-lock; else net start "$1"; fi
}

# copy_home FROM TO copies all that a backup has of a home; logs stay where they are.
copy_home() {
	mkdir -p "$2"
	find "$2" -mindepth 1 -maxdepth 1 ! -name peer.log -exec rm -rf {} +
	tar -C "$1" --exclude ./peer.log -cf - . | tar -C "$2" -xf -
}

# restore_some N FROM TO PEERS… restores homes of the peers FROM to TO, N times, while
# the others take transactions.
restore_some() {
	local n=$1 from=$2 to=$3 i=0 k
	bin/peer testnet load --dir "$dir" --rate "$rate" --duration 24h --size "$size" --through "$4" >"$dir/load.txt" &
	load=$!
	for ((i = from; i <= to; i++)); do # of each there is a copy
		net kill "$i" && copy_home "$dir/peer-$i" "$dir/copy-$i" && again "$i"
	done
	for ((k = 0; k < n; k++)); do
		i=$((from + RANDOM % (to - from + 1)))
		sleep $((RANDOM % 3)).$((RANDOM % 10))
		kill -0 "$load"
		net kill "$i"
		copy_home "$dir/peer-$i" "$dir/newer"
		copy_home "$dir/copy-$i" "$dir/peer-$i"
		((RANDOM % 2)) || copy_home "$dir/newer" "$dir/copy-$i"
		again "$i"
		count=$((count + 1))
	done
	kill "$load" # it prints its result
	wait "$load" || [[ $? == 143 ]]
	load=''
	cat "$dir/load.txt"
}

count=0
if [[ -n $restores ]]; then
	half=$((peers / 2))
	say "restoring old copies of the homes of peers 0 to $((half - 1)), and then of the others"
	restore_some $(((restores + 1) / 2)) 0 $((half - 1)) "$(seq -s, "$half" $((peers - 1)))"
	restore_some $((restores / 2)) "$half" $((peers - 1)) "$(seq -s, 0 $((half - 1)))"
	duration=1s
fi

say "offering $rate transactions a second for $duration"
net load --rate "$rate" --duration "$duration" --size "$size" >"$dir/load.txt" &
load=$!
while $kills && kill -0 "$load" 2>/dev/null; do
	i=${victim:-$((RANDOM % peers))}
	sleep 2
	kill -0 "$load" 2>/dev/null || break
	net kill "$i"
	sleep $((RANDOM % 3))
	net start "$i"
	count=$((count + 1))
done
code=0
wait "$load" || code=$?
load=''
cat "$dir/load.txt"
((code == 0)) || exit "$code"
((count == 0)) || echo "kills and restarts: $count${restores:+, each with an old copy of the home}"

say 'how the blocks spread'
net report --timeout 60s | tail -n 12

say 'checking that every acknowledged transaction stands in every ledger exactly once'
net check --acknowledged --timeout 2m
net status

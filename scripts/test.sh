#!/usr/bin/env bash
# The one definition of green. It needs Go and a C compiler (for the race detector;
# it installs one where it may), takes all else from go.mod, and runs every step even
# when one fails, so that one run tells all there is to mend.
#
# Tests named TestLarge… take much memory or are slowed too much by the race
# detector (large bubbles, bursts): they run without it, in a step of their own.
set -uo pipefail
cd "$(dirname "$0")/.."

usage() {
	cat <<'HELP'
Usage: scripts/test.sh [STEP…]

Runs every step, or the named ones:
  format     gofmt, of everything that is not generated
  vet        go vet
  lint       staticcheck; no switch over messages or effects forgets one
  generated  the generated code is that of the .proto files
  modules    go.mod and go.sum are tidy
  race       all tests but the large ones, with the race detector, in random order
  large      the tests named TestLarge…, without it
  fuzz       every fuzz target, for FUZZTIME (default 20000x: so many inputs)
  demo       the demo in small: 4 peers, 300 lines

Example: scripts/test.sh format vet lint
HELP
}

steps=(format vet lint generated modules race large fuzz demo)
case ${1-} in -h | --help) usage && exit 0 ;; esac
for step in "$@"; do
	if [[ ! " ${steps[*]} " == *" $step "* ]]; then
		printf 'scripts/test.sh: there is no step %s\n' "$step" >&2
		usage >&2
		exit 2
	fi
done
if (($#)); then steps=("$@"); fi

# Compilers, linters and simulated networks spend a sixth of their time on collecting
# garbage that there is room for: the largest, staticcheck, takes 1 GB so.
export GOGC=${GOGC:-400}

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Go files that people wrote, whether or not they are committed yet.
sources() { git ls-files --cached --others --exclude-standard -z -- '*.go' ':!*.pb.go' ':!*.connect.go'; }

format() {
	local bad
	bad=$(sources | xargs -0 gofmt -l) || return
	[[ -z $bad ]] || {
		printf 'not formatted, run gofmt -w on:\n%s\n' "$bad"
		return 1
	}
}

vet() { go vet ./...; }

# staticcheck, and that whoever tells messages or effects apart (interfaces marked
# sumtype:decl) knows all of them.
lint() { go tool staticcheck ./... && go tool go-check-sumtype ./...; }

# The generated files with their hashes.
generated_now() { find . -name '.?*' -prune -o \( -name '*.pb.go' -o -name '*.connect.go' \) -type f -exec sha256sum {} + | sort -k2; }

generated() {
	generated_now >"$work/before" && scripts/generate.sh && generated_now >"$work/after" || return
	diff "$work/before" "$work/after" || {
		echo 'the generated code was stale; scripts/generate.sh has just renewed it: commit it'
		return 1
	}
}

modules() {
	go mod tidy -diff && go mod verify
}

compiler() {
	[[ $(go env CGO_ENABLED) == 1 ]] && command -v "$(go env CC)" >/dev/null && return
	export CGO_ENABLED=1
	command -v "$(go env CC)" >/dev/null && return
	echo 'the race detector needs a C compiler; installing one'
	if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
		apt-get update -q && apt-get install -qy gcc libc6-dev
	elif [[ $(id -u) == 0 ]] && command -v apk >/dev/null; then
		apk add gcc musl-dev
	elif [[ $(id -u) == 0 ]] && command -v dnf >/dev/null; then
		dnf install -qy gcc
	else
		echo 'this user cannot: install gcc or clang, and run this again'
		return 1
	fi
}

# Tests are built without go test's own vet: the step above has done all of it, and for
# the race detector and for fuzzing it would look at every dependency again.
#
# Tests in bubbles of virtual time run on one processor here: on two, Go 1.26 lets
# timers of a bubble run at the same time in one context of the race detector, which
# then ends by SIGSEGV or a CHECK of its own (golang/go#78156). A race is still found:
# it is looked for in the order of events, not in what happens to coincide.
race() {
	compiler || return
	local in_bubbles others failed=0 test=(go test -vet=off -race -shuffle=on -skip '^TestLarge' -timeout 8m)
	mapfile -t in_bubbles < <(packages_where '"testing/synctest"')
	mapfile -t others < <(comm -23 <(sources | xargs -0 -n1 dirname | sort -u | sed 's|^|./|') <(printf '%s\n' "${in_bubbles[@]}"))
	"${test[@]}" -cpu 1 "${in_bubbles[@]}" || failed=1
	"${test[@]}" "${others[@]}" || failed=1
	((failed == 0))
}

# The packages, as paths, whose tests have a line that matches.
packages_where() {
	sources | xargs -0 grep -lE "$1" -- | grep '_test\.go$' | xargs -r -n1 dirname | sort -u | sed 's|^|./|'
}

large() {
	local packages
	mapfile -t packages < <(packages_where "^func TestLarge")
	((${#packages[@]})) || { echo 'there are none' && return 0; }
	go test -vet=off -shuffle=on -run '^TestLarge' -timeout 8m "${packages[@]}"
}

# A number of inputs, not a time: when the time is up just as an input runs, go test
# now and then reports "context deadline exceeded" as a failure that found nothing.
fuzz() {
	local package target failed=0 count=0
	while read -r package; do
		while read -r target; do
			printf -- '-- %s %s\n' "$package" "$target"
			count=$((count + 1))
			go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20000x}" "$package" || failed=1
		done < <(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$package"/*_test.go | sed 's/^func //')
	done < <(packages_where "^func Fuzz")
	echo "$count targets"
	((count > 0 && failed == 0))
}

demo() {
	for i in {1..300}; do echo "line $i of the demo in small"; done >"$work/lines"
	scripts/demo.sh -n 4 "$work/lines"
}

summary='' red=0
for step in "${steps[@]}"; do
	printf '\n== %s\n' "$step"
	begun=$SECONDS
	if "$step"; then word=ok; else word=FAILED red=1; fi
	line=$(printf '%-10s %-7s %4d s' "$step" "$word" $((SECONDS - begun)))
	printf -- '-- %s\n' "$line"
	summary+="$line"$'\n'
done
printf '\n%s' "$summary"
if ((red)); then
	printf 'RED after %d s\n' "$SECONDS"
	exit 1
fi
printf 'green after %d s\n' "$SECONDS"

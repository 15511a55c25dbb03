#!/usr/bin/env bash
# A farm of machines for tests/farm-demo.sh and tests/faults.sh, which source this. A machine is a network namespace, a process
# namespace, a view of mounts and, where the real machine has control groups that can be divided, a part of them; one more namespace
# holds the switch that joins them. Nothing of the real machine's network changes.
#
#   switch ═╦═ c1 c2 c3   10.78.0.11…   kiln coordinator
#           ╠═ a1 a2 a3   10.78.0.21…   kiln agent
#           ╠═ s3         10.78.0.31    an S3 server
#           ╚═ me         10.78.0.41    a person
#
# The first process of each machine only waits and reaps; when it is killed, the kernel ends all others of that machine with it.
# `tear_down`, run by a trap, thereby leaves nothing. KILN is the program to test, KILN_KEEP a directory that gets the logs.
# Where no machines can be made, a script says why and ends with 77.

coordinators=(c1 c2 c3)
agents=(a1 a2 a3)
declare -A address=(
    [c1]=10.78.0.11 [c2]=10.78.0.12 [c3]=10.78.0.13
    [a1]=10.78.0.21 [a2]=10.78.0.22 [a3]=10.78.0.23 [s3]=10.78.0.31 [me]=10.78.0.41
)
declare -A first_process=()
# The directory of each machine's control groups, where there are some.
declare -A groups=()
store=http://${address[s3]}:5000
slots=${SLOTS:-2}
# The size of coordinators' disks; those of the real machine unless given.
coordinator_disk=''
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
guests=${KILN_TEST_GUESTS:-$target/guests}

say() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }

fail() {
    printf 'failed: %s\n' "$*" >&2
    [ -z "${run:-}" ] || printf '%s\n' "$*" >"$run/why"
    exit 1
}

# wait_until SECONDS WHAT COMMAND…: until the command succeeds.
wait_until() {
    local limit=$1 what=$2 since=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $((SECONDS - since)) -lt "$limit" ] || fail "$what: not after $limit s"
        sleep 0.3
    done
}

# --- what is needed ---

# impossible WHY: ends with the code that means that this can't be tried here.
impossible() {
    printf 'no farm of machines can be made here: %s\n' "$*" >&2
    exit 77
}

need_everything() {
    local program
    [ "$(id -u)" = 0 ] || impossible "namespaces need root; run it as root"
    for program in ip nft nsenter unshare setsid python3 curl qemu-img qemu-system-x86_64; do
        command -v "$program" >/dev/null || fail "$program is missing; ./install-tools.sh installs it"
    done
    need_namespaces
    if [ -z "${KILN:-}" ]; then
        KILN=$target/release/kiln
        [ -x "$KILN" ] || (cd "$top" && cargo build --release -p kiln-cli)
    fi
    KILN=$(realpath "$KILN")
    need_store
}

# A container may forbid them even to root.
need_namespaces() {
    local try=kf$$-try why
    why=$(ip netns add "$try" 2>&1) || impossible "$why"
    why=$(ip netns exec "$try" unshare --pid --fork --mount-proc true 2>&1) || { ip netns del "$try" && impossible "$why"; }
    why=$(ip -n "$try" link add type veth 2>&1 && printf 'table inet try { }' | ip netns exec "$try" nft -f - 2>&1) ||
        { ip netns del "$try" && impossible "$why"; }
    ip netns del "$try"
}

# A Python that has the S3 server; made once when none is installed.
need_store() {
    local place=$target/s3-server
    python=$(python3 -c 'import sys; print(sys.executable)')
    "$python" -c 'import moto.server, boto3, flask, flask_cors' 2>/dev/null && return
    python=$place/bin/python
    "$python" -c 'import moto.server, boto3' 2>/dev/null && return
    say "Installing the S3 server (moto), once"
    python3 -m venv "$place"
    "$place/bin/pip" --quiet install 'moto[server,s3]' boto3
}

need_guest() {
    "$top/tests/guest/small-guest.sh" "$guests" >/dev/null
    # shellcheck disable=SC2034 # for those who source this
    guest=$guests/small.qcow2
}

# --- machines ---

namespace() { printf '%s-%s' "$farm" "$1"; }

# Prepares names, a place for files, and the end of it all.
begin() {
    run=$(mktemp -d /tmp/kf.XXXXXX)
    farm=kf$$
    mkdir "$run/logs"
    trap tear_down EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    raise_switch
}

raise_switch() {
    ip netns add "$(namespace switch)"
    ip -n "$(namespace switch)" link add switch type bridge forward_delay 0
    ip -n "$(namespace switch)" link set switch up
}

machine_add() {
    local name=$1 space parent
    space=$(namespace "$name")
    ip netns add "$space"
    ip -n "$(namespace switch)" link add "to-$name" type veth peer name eth0 netns "$space"
    ip -n "$(namespace switch)" link set "to-$name" master switch up
    ip -n "$space" link set lo up
    ip -n "$space" address add "${address[$name]}/24" dev eth0
    ip -n "$space" link set eth0 up
    mkdir -p "$run/$name"
    divide_groups "$name"
    # Ignoring the deaths of children lets the kernel reap whatever the machine's processes leave behind.
    (enter_groups "$name" && exec setsid ip netns exec "$space" unshare --cgroup --pid --fork --kill-child --mount-proc \
        env --ignore-signal=CHLD sleep infinity) </dev/null >/dev/null 2>&1 &
    parent=$!
    wait_until 20 "machine $name" pgrep -P "$parent"
    first_process[$name]=$(pgrep -P "$parent")
    # Its view of processes is there once it can be entered and shows few.
    wait_until 20 "machine $name" on "$name" test -e /proc/1/comm
    [ -z "${groups[$name]:-}" ] || on "$name" mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

# Gives a machine control groups of its own. A container may not let us; then its agent does without.
divide_groups() {
    local top
    for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do
        [ -e "$top/cgroup.controllers" ] && mkdir "$top/$(namespace "$1")" 2>/dev/null || continue
        groups[$1]=$top/$(namespace "$1")
    done
}

# Puts this process, which isn't a machine's yet, into the machine's control groups.
enter_groups() { [ -z "${groups[$1]:-}" ] || printf '%s' "$BASHPID" >"${groups[$1]}/cgroup.procs"; }

# on MACHINE COMMAND…: with nothing of the caller's environment but the way to programs.
on() {
    local name=$1
    shift
    nsenter --target "${first_process[$name]}" --net --pid --mount --cgroup -- \
        env -i -C "$PWD" PATH="$PATH" HOME="$run/$name" LANG=C.UTF-8 KILN_LOG="${KILN_LOG:-info}" "$@"
}

# daemon MACHINE COMMAND…: in the background; its number in that machine is in pid, its words are in the logs.
daemon() {
    local name=$1
    shift
    # shellcheck disable=SC2016
    (trap - INT && nsenter_daemon "$name" sh -c 'echo $$ >"$1" && shift && exec "$@"' sh "$run/$name/pid" "$@") \
        </dev/null >>"$run/logs/$name" 2>&1 &
    disown
}

nsenter_daemon() {
    local name=$1
    shift
    enter_groups "$name"
    exec setsid nsenter --target "${first_process[$name]}" --net --pid --mount --cgroup -- \
        env -i -C "$PWD" PATH="$PATH" HOME="$run/$name" LANG=C.UTF-8 KILN_LOG="${KILN_LOG:-info}" "$@"
}

# kill_daemon MACHINE SIGNAL: sends it, without waiting.
kill_daemon() { on "$1" kill "-$2" "$(cat "$run/$1/pid")"; }

daemon_is_gone() { ! on "$1" kill -0 "$(cat "$run/$1/pid")" 2>/dev/null; }

# As if somebody pulled the plug: every process of the machine.
power_off() { on "$1" sh -c 'kill -9 -1' || true; }

# cut_off MACHINE in|out|both: drops packets in that direction, as long as it lasts.
cut_off() {
    local name=$1 which=$2 in='' out=''
    [ "$which" = out ] || in='iifname "eth0" drop;'
    [ "$which" = in ] || out='oifname "eth0" drop;'
    ip netns exec "$(namespace "$name")" nft -f - <<RULES
table inet fault {
  chain coming { type filter hook prerouting priority -400; $in }
  chain going { type filter hook postrouting priority 400; $out }
}
RULES
}

heal() { ip netns exec "$(namespace "$1")" nft delete table inet fault 2>/dev/null || true; }

tear_down() {
    local code=$? name
    trap '' INT TERM HUP
    trap - EXIT
    # What runs beside ends first, by its own trap.
    if [ -n "${beside:-}" ]; then
        kill -TERM "$beside" 2>/dev/null || true
        wait "$beside" 2>/dev/null || true
    fi
    if [ -n "${run:-}" ]; then
        [ -z "${KILN_KEEP:-}" ] || { mkdir -p "$KILN_KEEP" && cp -r "$run/logs" "$KILN_KEEP/"; } || true
        [ "$code" = 0 ] || tail -n "${KILN_TAIL:-5}" "$run"/logs/* "$run"/me/*.log 2>/dev/null | cut -c 1-400 >&2 || true
        farm_down
        ip netns del "$(namespace switch)" 2>/dev/null || true
        rm -rf "$run"
    fi
    exit "$code"
}

# Ends all machines, and what they had.
farm_down() {
    local name
    for name in "${!first_process[@]}"; do
        kill -9 "${first_process[$name]}" 2>/dev/null || true
    done
    for name in "${!first_process[@]}"; do
        # The kernel ends the rest of a machine before its first process is gone; only then can its network go.
        for _ in $(seq 100); do
            kill -0 "${first_process[$name]}" 2>/dev/null || break
            sleep 0.1
        done
        # The kernel takes its time with a namespace's interfaces; with one end of a cable the other goes at once.
        ip -n "$(namespace switch)" link del "to-$name" 2>/dev/null || true
        ip netns del "$(namespace "$name")" 2>/dev/null || true
        rm -rf "${run:?}/$name"
        [ -z "${groups[$name]:-}" ] || find "${groups[$name]}" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    # Also of one that was only begun.
    for name in $(ip netns list | grep -oE "^$farm-[a-z0-9]+" | grep -v -- -switch); do
        ip netns del "$name" 2>/dev/null || true
    done
    first_process=() groups=()
}

# --- the farm ---

# Lists members, agents, builds, images…; asked for by the person.
kiln() { on me env KILN_FARM="$KILN_FARM" KILN_TOKEN="$KILN_TOKEN" "$KILN" "$@"; }

coordinator_settings() {
    local name=$1 other others=''
    for other in "${coordinators[@]}"; do
        [ "$other" = "$name" ] || others+="\"https://${address[$other]}:7447\", "
    done
    cat >"$run/$name/settings.hcl" <<SETTINGS
directory = "$run/$name/state"
listen    = "${address[$name]}:7447"
address   = "https://${address[$name]}:7447"
others    = [$others]
http {
  listen = "${address[$name]}:7448"
}
s3 {
  bucket     = "images"
  endpoint   = "$store"
  region     = "us-east-1"
  keys_file  = "$run/s3/keys"
  allow_http = true
}
SETTINGS
}

# A disk for a coordinator's state that can be filled; it goes with the machine.
small_disk() {
    mkdir "$run/$1/state"
    on "$1" mount -t tmpfs -o "size=$coordinator_disk" tmpfs "$run/$1/state"
}

coordinator_start() { daemon "$1" "$KILN" coordinator -settings "$run/$1/settings.hcl"; }

agent_settings() {
    local name=$1 coordinator
    {
        printf 'name = "%s"\nslots = %s\ntoken_file = "%s"\nrun_directory = "%s"\ncache_directory = "%s"\n' \
            "$name" "$slots" "$run/$name/token" "$run/$name/run" "$run/$name/cache"
        printf 'farm = ['
        for coordinator in "${coordinators[@]}"; do printf '"https://%s:7447", ' "${address[$coordinator]}"; done
        printf ']\n'
    } >"$run/$name/settings.hcl"
}

# agent_start NAME [ENVIRONMENT…]
agent_start() { daemon "$1" env "${@:2}" "$KILN" agent -settings "$run/$1/settings.hcl"; }

store_start() {
    machine_add s3
    printf 'kiln\nkilnkiln\n' >"$run/s3/keys"
    daemon s3 "$python" "$top/tests/farm/store.py" "${address[s3]}" 5000 "$run/s3/fault"
    wait_until 60 "the S3 server" on me curl -s -o /dev/null "$store/"
    on me curl -sf -o /dev/null -X PUT "$store/images" || fail "the S3 server makes no bucket"
}

# Three coordinators, three agents, a store and a person, until all of it is ready.
farm_up() {
    local name
    machine_add me
    store_start
    for name in "${coordinators[@]}"; do
        machine_add "$name"
        coordinator_settings "$name"
        [ -z "$coordinator_disk" ] || small_disk "$name"
    done
    on c1 "$KILN" coordinator init -settings "$run/c1/settings.hcl" >"$run/c1/init" || fail "init: $(cat "$run/c1/init")"
    KILN_TOKEN=$(grep -oE 'kiln_client_[A-Za-z0-9_-]+' "$run/c1/init")
    KILN_FARM=$(printf ',https://%s:7447' "${address[c1]}" "${address[c2]}" "${address[c3]}")
    KILN_FARM=${KILN_FARM#,}
    coordinator_start c1
    wait_until 60 "the first coordinator" kiln farm status
    for name in c2 c3; do
        kiln farm token create -name "$name" coordinator >"$run/$name/token"
        on "$name" "$KILN" coordinator join -settings "$run/$name/settings.hcl" -token-file "$run/$name/token" >"$run/$name/joined"
        coordinator_start "$name"
    done
    wait_until 60 "three coordinators" coordinators_are_whole
    for name in "${agents[@]}"; do
        machine_add "$name"
        agent_settings "$name"
        kiln farm token create -name "$name" agent >"$run/$name/token"
        agent_start "$name"
    done
    wait_until 180 "three agents" agents_are_whole
}

# asked SCRIPT COMMAND…: what a command says as JSON, in `seen` for a line of Python.
asked() {
    local script=$1
    shift
    kiln "$@" -format json | python3 -c "
import json, sys
seen = [json.loads(line) for line in sys.stdin if line.strip()]
seen = seen[0] if len(seen) == 1 and isinstance(seen[0], list) else seen
$script"
}

coordinators_are_whole() {
    local name
    for name in "${coordinators[@]}"; do
        on me curl -sf --max-time 2 -o /dev/null "http://${address[$name]}:7448/readyz" || return 1
    done
    asked 'sys.exit(sorted(m["role"] for m in seen) != ["leader", "voter", "voter"])' farm members
}

agents_are_whole() {
    asked 'sys.exit(sorted(a["name"] for a in seen if a["state"] == "ready") != ["a1", "a2", "a3"])' farm agents
}

# Prints the machine that leads.
leader() {
    local at
    wait_until 60 "a leader" kiln farm members
    at=$(asked 'print(*(m["address"] for m in seen if m["role"] == "leader"))' farm members)
    machine_at "$at"
}

machine_at() {
    local name
    for name in "${coordinators[@]}"; do
        case $1 in *"${address[$name]}:"*) printf '%s\n' "$name" && return ;; esac
    done
    fail "no coordinator leads: $1"
}

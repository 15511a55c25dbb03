#!/usr/bin/env bash
# Breaks a farm in every way that machines, networks and stores break, while it builds, and looks at what is left each time.
#
#   sudo tests/faults.sh                        all
#   sudo tests/faults.sh NAME…                  these
#   sudo tests/faults.sh usual                  all that take a minute or two
#   sudo tests/faults.sh quick                  one of each kind
#   sudo tests/faults.sh list                   their names
#   sudo tests/faults.sh --shuffle SEED …       in another order
#
# After each fault: every build that was accepted has ended as it should, each task that makes an image has made exactly one, all
# images verify, and nothing runs or lies on the agents that should not. One farm (tests/farm/machines.sh) serves all faults; after
# one that isn't survived there is a new one. Long faults happen to farms of their own beside it. KILN names another program than
# the release build. Where no farm of machines can be made, the script says why and ends with 77.
# shellcheck disable=SC2154 # many names come from machines.sh
set -euo pipefail

# shellcheck source=tests/farm/machines.sh
. "$(dirname "${BASH_SOURCE[0]}")/farm/machines.sh"
# shellcheck source=tests/farm/verdict.sh
. "$(dirname "${BASH_SOURCE[0]}")/farm/verdict.sh"

quick=(leader_killed agent_killed_while_it_builds daemon_killed_while_it_builds store_answers_500)
usual=(
    leader_killed follower_killed two_coordinators_killed
    agent_killed_while_it_builds agent_killed_while_it_publishes
    daemon_killed_while_it_builds daemon_killed_while_it_publishes
    leader_cut_off agent_cut_off agent_hears_nothing agent_is_not_heard leader_hears_nothing leader_is_not_heard
    store_answers_500 store_hangs store_loses_a_put
    agent_clock_ahead agent_clock_behind
    client_killed coordinator_disk_full everything_restarted_under_load
    guest_outlives_the_daemon guest_dies_with_its_machine
)
long=(agent_cut_off_for_15_minutes)

# shellcheck disable=SC2034 # machines.sh makes them
coordinator_disk=96m

# How long builds may take to their end once all is well again. A lease runs out after 20 s, a retry waits a little.
patience=${KILN_PATIENCE:-240}

# --- builds ---

# template NAME TASKS SECONDS MIB: tasks that tick once a second, and make an image of so many MiB.
template() {
    local name=$1 tasks=$2 seconds=$3 mib=$4 i list=''
    for i in $(seq "$tasks"); do
        list+="\"file.$name-$i\", "
        head -c "$((mib << 20))" /dev/urandom >"disk-$i"
        printf 'a file of %s\n' "$name-$i" >>"disk-$i"
        printf 'source "file" "%s" {\n  source = "disk-%s"\n  target = "made-%s.img"\n}\n' "$name-$i" "$i" "$i"
    done >t.pkr.hcl
    cat >>t.pkr.hcl <<BUILD
build {
  sources = [$list]
  provisioner "shell-local" {
    inline = ["for i in \$(seq $seconds); do echo tick \$i; sleep 1; done"]
  }
}
BUILD
}

# The small guest, which says something once a second.
guest_template() {
    cat >t.pkr.hcl <<BUILD
source "qemu" "$1" {
  iso_url          = "$guest"
  iso_checksum     = "none"
  disk_image       = true
  disk_size        = "2G"
  headless         = true
  ssh_username     = "root"
  ssh_password     = "kiln"
  ssh_timeout      = "10m"
  shutdown_command = "poweroff"
}
build {
  sources = ["qemu.$1"]
  provisioner "shell" { inline = ["for i in \$(seq 20); do echo tick \$i; sleep 1; done"] }
}
BUILD
}

# submit NAME TEMPLATE…: sends a build and follows it in the background, like a person. Its directory is `sent/NAME`.
submit() {
    local name=$1 place=$run/me/sent/$1
    shift
    mkdir -p "$place"
    (cd "$place" && "$@")
    (
        code=0
        cd "$place"
        on me sh -c 'echo $$ >client && exec "$@"' sh env KILN_FARM="$KILN_FARM" KILN_TOKEN="$KILN_TOKEN" \
            "$KILN" build -color=false t.pkr.hcl || code=$?
        printf '%s\n' "$code" >code
    ) </dev/null >"$place/log" 2>&1 &
    wait_until 60 "build $name is taken" grep -q 'has taken build' "$place/log"
    grep -oE 'taken build [0-9a-f-]+' "$place/log" | grep -oE '[0-9a-f-]{36}' >"$place/id"
}

id_of() { cat "$run/me/sent/$1/id"; }

ticking() { grep -q "tick ${2:-2}" "$run/me/sent/$1/log"; }

# Waits until all tasks of a build say something.
wait_for_ticks() { wait_until "${2:-120}" "build $1 ticks" ticking "$1"; }

# Prints the machine that has the first task of a build.
machine_of() {
    asked "print(*[t['agent']['name'] for b in seen if b['id'] == '$(id_of "$1")' for t in b['tasks'] if t['agent']][:1])" \
        farm builds -most 1000
}

# other_machine NAME MACHINE: whether the build's task is on another one by now, or done.
is_elsewhere() {
    asked "sys.exit(not any(b['id'] == '$(id_of "$1")' and all(t['state'] == 'succeeded' or t['agent'] and
t['agent']['name'] != '$2' for t in b['tasks']) for b in seen))" farm builds -most 1000
}

# Prints how many attempts at a build's tasks ended in vain.
vain_attempts() {
    asked "print(sum(len(t['attempts']) for b in seen if b['id'] == '$(id_of "$1")' for t in b['tasks']))" \
        farm builds -most 1000
}

# Whether a task on this machine has come to its end, and only its image is missing.
publishes() { find "$run/$1/run/attempts" -name outcome.json 2>/dev/null | grep -q .; }

# --- the faults ---

restart_coordinator() {
    wait_until 30 "$1 is gone" daemon_is_gone "$1"
    coordinator_start "$1"
}

fault_leader_killed() {
    local first
    submit killed-leader template killed-leader 3 15 1
    wait_for_ticks killed-leader
    first=$(leader)
    kill_daemon "$first" KILL
    wait_until 30 "another leads" kiln farm status
    submit after-leader template after-leader 1 1 1
    restart_coordinator "$first"
}

a_follower() {
    local first name
    first=$(leader)
    for name in "${coordinators[@]}"; do
        [ "$name" = "$first" ] || { printf '%s\n' "$name" && return; }
    done
}

fault_follower_killed() {
    local one
    submit killed-follower template killed-follower 3 15 1
    wait_for_ticks killed-follower
    one=$(a_follower)
    kill_daemon "$one" KILL
    submit after-follower template after-follower 1 1 1
    restart_coordinator "$one"
}

fault_two_coordinators_killed() {
    local first second
    submit killed-two template killed-two 3 15 1
    wait_for_ticks killed-two
    first=$(leader) second=$(a_follower)
    kill_daemon "$first" KILL
    kill_daemon "$second" KILL
    wait_until 30 "they are gone" daemon_is_gone "$second"
    sleep 5
    restart_coordinator "$first"
    restart_coordinator "$second"
}

fault_agent_killed_while_it_builds() {
    local name
    submit killed-agent template killed-agent 1 12 1
    wait_for_ticks killed-agent
    name=$(machine_of killed-agent)
    power_off "$name"
    wait_until 60 "the task goes elsewhere" is_elsewhere killed-agent "$name"
    agent_start "$name"
}

# begin_publishing BUILD: a task that has ended, and a store that takes nothing. Its machine is `publisher`.
begin_publishing() {
    submit "$1" template "$1" 1 4 40
    wait_for_ticks "$1"
    publisher=$(machine_of "$1")
    echo hang >"$run/s3/fault"
    wait_until 60 "the task has ended" publishes "$publisher"
}

fault_agent_killed_while_it_publishes() {
    begin_publishing killed-publisher
    sleep 2
    power_off "$publisher"
    rm -f "$run/s3/fault"
    wait_until 90 "the task goes elsewhere" is_elsewhere killed-publisher "$publisher"
    agent_start "$publisher"
}

# restart_agent NAME [ENVIRONMENT…]
restart_agent() {
    wait_until 30 "the daemon of $1 is gone" daemon_is_gone "$1"
    agent_start "$@"
}

attempt_process() { on "$1" pgrep -f "$KILN attempt"; }

fault_daemon_killed_while_it_builds() {
    local name before
    submit killed-daemon template killed-daemon 1 20 1
    wait_for_ticks killed-daemon
    name=$(machine_of killed-daemon)
    before=$(attempt_process "$name")
    kill_daemon "$name" KILL
    restart_agent "$name"
    wait_until 60 "the farm hears of it again" ticking killed-daemon 19
    [ "$(attempt_process "$name" || echo "$before")" = "$before" ] || fail "the attempt did not live on"
    wait_until 60 "the end" all_of killed-daemon
    [ "$(vain_attempts killed-daemon)" = 0 ] || fail "the task was tried again, although its attempt lived"
}

all_of() { [ -e "$run/me/sent/$1/code" ]; }

fault_daemon_killed_while_it_publishes() {
    begin_publishing killed-sender
    sleep 2
    kill_daemon "$publisher" KILL
    restart_agent "$publisher"
    rm -f "$run/s3/fault"
}

# cut_for SECONDS MACHINE DIRECTION
cut_for() {
    cut_off "$2" "$3"
    sleep "$1"
    heal "$2"
}

cut_the_leader() {
    local first build=$1
    submit "$build" template "$build" 3 20 1
    wait_for_ticks "$build"
    first=$(leader)
    cut_off "$first" "$2"
    wait_until 60 "another leads" another_leads "$first"
    submit "after-$build" template "after-$build" 1 1 1
    sleep 25
    heal "$first"
}

another_leads() {
    local at
    at=$(asked 'print(*(m["address"] for m in seen if m["role"] == "leader"))' farm members) || return 1
    [ -n "$at" ] && [ "$(machine_at "$at")" != "$1" ]
}

fault_leader_cut_off() { cut_the_leader cut-leader both; }
fault_leader_hears_nothing() { cut_the_leader deaf-leader in; }
fault_leader_is_not_heard() { cut_the_leader mute-leader out; }

cut_an_agent() {
    local build=$1 name
    submit "$build" template "$build" 2 10 1
    wait_for_ticks "$build"
    name=$(machine_of "$build")
    cut_for "$3" "$name" "$2"
}

fault_agent_cut_off() { cut_an_agent cut-agent both 30; }
fault_agent_hears_nothing() { cut_an_agent deaf-agent in 30; }
fault_agent_is_not_heard() { cut_an_agent mute-agent out 30; }
# For longer than an agent keeps what it works on, and for longer than the work takes that goes on elsewhere.
fault_agent_cut_off_for_15_minutes() {
    local name since=$SECONDS
    submit long-cut template long-cut 2 650 1
    wait_for_ticks long-cut
    name=$(machine_of long-cut)
    cut_off "$name" both
    wait_until 60 "the task goes elsewhere" is_elsewhere long-cut "$name"
    sleep $((since + 540 - SECONDS))
    attempt_process "$name" >/dev/null || fail "the attempt was not kept for ten minutes"
    wait_until 180 "the attempt is given up" is_given_up "$name"
    sleep $((since + 900 - SECONDS))
    heal "$name"
}

is_given_up() { ! attempt_process "$1"; }

# The clock of a machine that has work jumps by so many seconds; work begins and ends there, and the agent starts anew,
# before it jumps back. The agent, and all that it starts, sees it through libfaketime.
jump_the_clock() {
    local build=$1 by=$2 name library
    library=$(find /usr/lib* -name libfaketimeMT.so.1 2>/dev/null | head -n 1)
    [ -n "$library" ] || fail "libfaketime is missing; ./install-tools.sh installs it"
    for name in "${agents[@]}"; do
        echo +0 >"$run/$name/clock"
        kill_daemon "$name" KILL
        restart_agent "$name" LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$run/$name/clock" FAKETIME_CACHE_DURATION=1 \
            FAKETIME_DONT_FAKE_MONOTONIC=1
    done
    wait_until 90 "all agents are back" agents_are_whole
    submit "$build" template "$build" 3 15 1
    wait_for_ticks "$build"
    name=$(machine_of "$build")
    printf '%+d\n' "$by" >"$run/$name/clock"
    wait_until 120 "the end" all_of "$build"
    # Four of six places, so that one has to be there.
    submit "on-$build" template "on-$build" 5 8 1
    wait_for_ticks "on-$build"
    kill_daemon "$name" KILL
    restart_agent "$name" LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$run/$name/clock" FAKETIME_CACHE_DURATION=1 \
        FAKETIME_DONT_FAKE_MONOTONIC=1
    wait_until 60 "the agent tells a time that is off by $by s" tells_a_time_off "$name" "$by"
    wait_until 120 "the end" all_of "on-$build"
    submit "back-$build" template "back-$build" 3 15 1
    wait_for_ticks "back-$build"
    echo +0 >"$run/$name/clock"
    wait_until 120 "the end" all_of "back-$build"
    for build in "$build" "on-$build" "back-$build"; do
        [ "$(vain_attempts "$build")" = 0 ] || fail "a task of $build was tried again, although only a clock was wrong"
    done
    for name in "${agents[@]}"; do
        kill_daemon "$name" KILL
        restart_agent "$name"
    done
}

# Whether the last line of an agent's log was written at a time that is off by about so much.
tells_a_time_off() {
    local told
    told=$(grep -oE '^20[0-9T:-]+' "$run/logs/$1" | tail -n 1)
    told=$(($(date -u -d "${told}Z" +%s) - $(date +%s) - $2))
    [ "${told#-}" -lt 600 ]
}

fault_agent_clock_ahead() { jump_the_clock clock-ahead 3600; }
fault_agent_clock_behind() { jump_the_clock clock-behind -3600; }

# break_store HOW SECONDS: while tasks end and publish.
break_store() {
    submit "store-$1" template "store-$1" 3 4 8
    wait_for_ticks "store-$1"
    echo "$1" >"$run/s3/fault"
    sleep "$2"
    rm -f "$run/s3/fault"
}

fault_store_answers_500() { break_store 500 20; }
fault_store_hangs() { break_store hang 30; }

fault_store_loses_a_put() {
    break_store lose 0.5
    echo lose >"$run/s3/fault"
    wait_until 60 "the store has lost a pack" test -e "$run/s3/fault.done"
    rm -f "$run/s3/fault" "$run/s3/fault.done"
}

fault_client_killed() {
    submit killed-client template killed-client 2 10 1
    wait_for_ticks killed-client
    touch "$run/me/sent/killed-client/given-up"
    on me kill -9 "$(cat "$run/me/sent/killed-client/client")"
}

# The disk of a coordinator fills up; it may end, but loses nothing, and comes back when there is room.
fault_coordinator_disk_full() {
    local first
    first=$(leader)
    submit full-disk template full-disk 3 15 1
    wait_for_ticks full-disk
    on "$first" dd if=/dev/zero of="$run/$first/state/filler" bs=1M status=none 2>/dev/null || true
    submit after-full-disk template after-full-disk 4 5 1
    sleep 15
    on "$first" rm "$run/$first/state/filler"
    if daemon_is_gone "$first"; then coordinator_start "$first"; fi
}

fault_everything_restarted_under_load() {
    local i name
    for i in $(seq 10); do
        submit "load-$i" template "load-$i" 2 15 1
    done
    for name in "${coordinators[@]}"; do
        kill_daemon "$name" TERM
        restart_coordinator "$name"
        wait_until 60 "the farm is whole with the new $name" coordinators_are_whole
    done
    for name in "${agents[@]}"; do
        # Once is a drain, twice hands over what runs.
        kill_daemon "$name" TERM
        sleep 1
        kill_daemon "$name" TERM || true
        restart_agent "$name"
        wait_until 60 "all agents with the new $name" agents_are_whole
    done
}

# While it boots, and while it is provisioned.
fault_guest_outlives_the_daemon() {
    local name before
    submit guest-lives guest_template guest-lives
    wait_until 120 "the guest boots" boots guest-lives
    name=$(machine_of guest-lives)
    before=$(attempt_process "$name")
    kill_daemon "$name" KILL
    restart_agent "$name"
    wait_for_ticks guest-lives 600
    kill_daemon "$name" KILL
    restart_agent "$name"
    [ "$(attempt_process "$name")" = "$before" ] || fail "the attempt did not live on"
    wait_until 300 "the end" all_of guest-lives
    [ "$(vain_attempts guest-lives)" = 0 ] || fail "the task was tried again, although its guest lived"
}

boots() { grep -qiE 'waiting for ssh|starting the guest' "$run/me/sent/$1/log"; }

# While it boots, and on the next machine while it is provisioned.
fault_guest_dies_with_its_machine() {
    local first second
    submit guest-dies guest_template guest-dies
    wait_until 120 "the guest boots" boots guest-dies
    first=$(machine_of guest-dies)
    power_off "$first"
    wait_until 90 "the task goes elsewhere" is_elsewhere guest-dies "$first"
    agent_start "$first"
    second=$(machine_of guest-dies)
    wait_for_ticks guest-dies 600
    power_off "$second"
    wait_until 90 "the task goes elsewhere again" is_elsewhere guest-dies "$second"
    agent_start "$second"
    wait_until 900 "the end" all_of guest-dies
}

# --- one after the other ---

renew_farm() {
    farm_down
    rm -f "$run/read"
    farm_up
    mkdir -p "$run/me/sent"
}

# Lets one fault happen on the farm. In a process of its own, which ends at the first thing that is wrong.
survive() {
    local name=$1 since=$SECONDS code=0
    rm -rf "$run"/me/sent/* "$run/why"
    set +e
    (
        trap - EXIT INT TERM HUP
        set -e
        "fault_$name"
        judge
    ) >"$run/said" 2>&1
    code=$?
    set -e
    rm -f "$run/s3/fault"
    if [ "$code" = 0 ]; then
        survived=$((survived + 1))
        printf 'ok %s (%s s)\n' "$name" "$((SECONDS - since))"
        return
    fi
    printf 'FAILED %s: %s (%s s)\n' "$name" "$(cat "$run/why" 2>/dev/null || tail -n 3 "$run/said")" "$((SECONDS - since))"
    if [ -n "${KILN_KEEP:-}" ]; then
        mkdir -p "$KILN_KEEP/$name"
        kiln farm builds -most 1000 -format json >"$run/logs/builds.json" 2>&1 || true
        cp -r "$run/logs" "$run/said" "$run/me/sent" "$KILN_KEEP/$name/" || true
        find "$KILN_KEEP/$name" -name 'disk-*' -delete
    fi
    rm -f "$run"/logs/*
    renew_farm
}

is_long() { [[ " ${long[*]} " == *" $1 "* ]]; }

# Lets long faults happen to a farm of their own, meanwhile. It goes with this script.
begin_beside() {
    "${BASH_SOURCE[0]}" "$@" >"$run/beside" 2>&1 &
    # shellcheck disable=SC2034 # for tear_down
    beside=$!
}

end_beside() {
    wait "$beside" || true
    beside=''
    grep -vE '^faults survived' "$run/beside" || true
    survived=$((survived + $(grep -cE '^ok ' "$run/beside" || true)))
}

shuffle() {
    python3 -c 'import random, sys; names = sys.argv[2:]; random.Random(sys.argv[1]).shuffle(names); print(*names, sep="\n")' "$@"
}

main() {
    local names meanwhile=() seed='' name
    if [ "${1:-}" = --shuffle ]; then
        seed=${2:?--shuffle needs a number}
        shift 2
    fi
    names=("$@")
    case ${1:-} in
        list) printf '%s\n' "${usual[@]}" "${long[@]}" && return ;;
        quick) names=("${quick[@]}") ;;
        usual) names=("${usual[@]}") ;;
        '') names=("${usual[@]}" "${long[@]}") ;;
    esac
    for name in "${names[@]}"; do
        declare -F "fault_$name" >/dev/null || fail "no fault is called $name; they are: ${usual[*]} ${long[*]}"
    done
    [ -z "$seed" ] || mapfile -t names < <(shuffle "$seed" "${names[@]}")
    need_everything
    need_guest
    begin
    for name in "${names[@]}"; do
        if is_long "$name" && [ "${#names[@]}" -gt 1 ]; then meanwhile+=("$name"); fi
    done
    [ "${#meanwhile[@]}" = 0 ] || begin_beside "${meanwhile[@]}"
    farm_up
    mkdir -p "$run/me/sent"
    survived=0
    for name in "${names[@]}"; do
        [[ " ${meanwhile[*]} " == *" $name "* ]] || survive "$name"
    done
    [ -z "${beside:-}" ] || end_beside
    printf 'faults survived: %s of %s\n' "$survived" "${#names[@]}"
    [ "$survived" = "${#names[@]}" ]
}

main "$@"

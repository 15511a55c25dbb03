#!/usr/bin/env bash
# What is true of a farm after each fault, for tests/faults.sh, which sources this: every build that was accepted has come to its end,
# each task has made one image, every chunk of it is there, and nothing is left on any agent.
# shellcheck disable=SC2154 # many names come from machines.sh and faults.sh

all_have_ended() {
    asked "
sent = {line.strip() for line in open('$run/accepted')}
states = {b['id']: b['state'] for b in seen}
print({i: states.get(i) for i in sent if states.get(i) != 'succeeded'})
sys.exit(any(states.get(i) in (None, 'running') for i in sent))" farm builds -most 1000
}

all_have_succeeded() {
    asked "
sent = {line.strip() for line in open('$run/accepted')}
bad = [(b['id'], t['name'], t['outcome'], t['attempts']) for b in seen if b['id'] in sent and b['state'] != 'succeeded'
       for t in b['tasks'] if t['state'] != 'succeeded']
print(*bad[:3], sep='; ')
sys.exit(bool(bad))" farm builds -most 1000
}

# Every task has one image, none has two, and nothing else is visible.
images_are_right() {
    kiln farm builds -most 1000 -format json >"$run/builds.json"
    asked "
from collections import Counter
builds = [json.loads(line) for line in open('$run/builds.json') if line.strip()]
builds = builds[0] if len(builds) == 1 and isinstance(builds[0], list) else builds
count = Counter(image['task'] for image in seen)
tasks = {t['id']: t['name'] for b in builds for t in b['tasks'] if t['state'] == 'succeeded'}
wrong = [f'{name} has {count[id]} images' for id, name in tasks.items() if count[id] != 1]
wrong += [f'an image of {id}, which did not succeed' for id in count if id not in tasks]
print(*wrong, sep='; ')
sys.exit(bool(wrong))" images list
}

# Each has every chunk: the first time every byte is read, later the store is asked.
images_verify() {
    local image deep
    for image in $(asked 'print(*(image["image"] for image in seen))' images list); do
        deep=()
        grep -qx "$image" "$run/read" 2>/dev/null || deep=(-deep)
        kiln images verify "${deep[@]}" "$image" >"$run/verified" 2>&1 || { cat "$run/verified"; return 1; }
        printf '%s\n' "$image" >>"$run/read"
    done
}

# What is on an agent besides the agent, in words. A network of an attempt is there as long as a process or an interface in it.
leftovers() {
    local name=$1
    # The first process, the daemon, and this very look at it.
    on "$name" ps -e -o pid=,ppid=,args= | grep -vE "sleep infinity|$KILN agent|ps -e -o" || true
    ip -n "$(namespace "$name")" -o link show type veth | grep -oE 'kiln[0-9]+' || true
    on "$name" grep "$run" /proc/mounts || true
    find "$run/$name/run/attempts" -mindepth 1 -maxdepth 1 2>/dev/null || true
    find "$run/$name/run" -maxdepth 1 -name '*.journal' || true
    [ -z "${groups[$name]:-}" ] || find "${groups[$name]}" -mindepth 2 -type d
}

agent_is_clean() { [ -z "$(leftovers "$1")" ]; }

followers_have_ended() {
    local place
    for place in "$run"/me/sent/*/; do
        [ -e "$place/code" ] || [ -e "$place/given-up" ] || return 1
    done
}

judge() {
    local name place
    cat "$run"/me/sent/*/id >"$run/accepted"
    wait_until 90 "the farm is whole again" coordinators_are_whole
    wait_until 90 "all agents are back" agents_are_whole
    wait_until "$patience" "all builds have ended" all_have_ended
    all_have_succeeded >"$run/told" || fail "not all builds succeeded: $(head -c 1500 "$run/told")"
    wait_until 30 "those who follow are told the end" followers_have_ended
    for place in "$run"/me/sent/*/; do
        [ -e "$place/given-up" ] || [ "$(cat "$place/code")" = 0 ] || fail "a client ended badly: $(tail -n 5 "$place/log")"
    done
    images_are_right >"$run/told" || fail "$(cat "$run/told")"
    images_verify >"$run/told" || fail "$(cat "$run/told")"
    for name in "${agents[@]}"; do
        for _ in $(seq 60); do
            agent_is_clean "$name" && break
            sleep 0.5
        done
        agent_is_clean "$name" || fail "left on $name: $(leftovers "$name")"
    done
}

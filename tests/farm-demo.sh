#!/usr/bin/env bash
# A whole farm on one machine, and four machine images built by it: three coordinators, three agents and an S3 server, each in a
# network and among processes of its own, and a person who sends a template, follows it, and pulls and boots what came of it.
#
#   sudo tests/farm-demo.sh
#
# KILN names another program than the release build. Everything that is started is removed at the end, however it comes.
# shellcheck disable=SC2154 # many names come from machines.sh
set -euo pipefail

# shellcheck source=tests/farm/machines.sh
. "$(dirname "${BASH_SOURCE[0]}")/farm/machines.sh"

sources=(red green blue grey)
place=/nowhere

# Four guests; each becomes a web server with a page of its own.
write_template() {
    local name list=''
    place=$run/me/template
    mkdir "$place"
    for name in "${sources[@]}"; do
        list+="\"qemu.$name\", "
        cat <<SOURCE
source "qemu" "$name" {
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
SOURCE
    done >"$place/four.pkr.hcl"
    cat >>"$place/four.pkr.hcl" <<BUILD
build {
  sources = [$list]
  provisioner "shell" {
    inline = [
      "mkdir -p /www && echo 'a page of \${source.name}' >/www/index.html",
      "echo '::respawn:/bin/httpd -f -p 80 -h /www' >>/etc/inittab",
      "for i in 1 2 3 4 5; do echo \${source.name} works, step \$i; sleep 1; done",
    ]
  }
}
BUILD
}

show_farm() {
    kiln farm status
    kiln farm agents
}

# Four tasks run on three agents, at the same time.
tasks_are_spread() {
    asked '
tasks = [t for b in seen for t in b["tasks"]]
on = {t["agent"]["name"] for t in tasks if t["agent"] and t["state"] == "running"}
sys.exit(not (len(on) == 3 and all(t["agent"] for t in tasks)))' farm builds -running
}

build() {
    local code=0 builder
    (cd "$place" && kiln build -color=false four.pkr.hcl) >"$run/me/build.log" 2>&1 &
    builder=$!
    wait_until 60 "the build is taken" grep -q 'has taken build' "$run/me/build.log"
    id=$(grep -oE 'taken build [0-9a-f-]+' "$run/me/build.log" | grep -oE '[0-9a-f-]{36}')
    note "the farm has taken build $id"
    wait_until 120 "three agents run the four tasks" tasks_are_spread
    say "They run on different agents (kiln farm builds)"
    kiln farm builds -running
    say "Somebody else follows, too (kiln farm logs)"
    kiln farm logs "$id" >"$run/me/follow.log" 2>&1 &
    follower=$!
    wait_until 900 "a first line from inside a guest" grep -q 'works, step' "$run/me/build.log"
    kill -0 "$builder" || fail "the first line came only when the build had ended"
    wait_until 60 "the same line at the follower" grep -q 'works, step' "$run/me/follow.log"
    grep 'works, step' "$run/me/follow.log" | head -n 3
    note "…while the build goes on"
    wait "$builder" || code=$?
    [ "$code" = 0 ] || fail "the build ended with $code: $(tail -n 20 "$run/me/build.log")"
    wait "$follower" || fail "the follower: $(tail -n 5 "$run/me/follow.log")"
    sed -n '/Builds finished/,$p' "$run/me/build.log"
    for name in "${sources[@]}"; do
        for log in build follow; do
            [ "$(grep -c "$name works, step" "$run/me/$log.log")" = 5 ] || fail "lines of $name are missing in $log.log"
        done
    done
}

# What an S3 client that knows nothing of Kiln sees.
list_bucket() {
    on me env AWS_ACCESS_KEY_ID=kiln AWS_SECRET_ACCESS_KEY=kilnkiln "$python" - "$store" "$run/me/keys" <<'PYTHON'
import sys, boto3
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1")
with open(sys.argv[2], "w") as keys:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="images"):
        for found in page.get("Contents", []):
            print(f"   {found['Size']:>12,} {found['Key']}")
            keys.write(found["Key"] + "\n")
PYTHON
    [ "$(grep -cE '(^|/)images/' "$run/me/keys")" = 4 ] || fail "there are not four images in the bucket"
}

# pull NAME: brings an image and compares each of its files with the manifest.
pull() {
    local name=$1 into=$run/me/pulled/$1
    kiln images pull -into "$into" "qemu.$name" >"$run/me/pull.log" 2>&1 || fail "pull: $(cat "$run/me/pull.log")"
    kiln images show -format json "qemu.$name" >"$run/me/manifest"
    python3 - "$run/me/manifest" "$into" <<'PYTHON' || fail "qemu.$name came back differently"
import hashlib, json, os, sys
manifest = json.load(open(sys.argv[1]))["manifest"]
assert manifest["files"], "an image without files"
for medium in manifest["provenance"]["media"]:
    print(f"   made from {medium['name']}, {medium['size']:,} bytes, {medium['digest'][:23]}…")
assert manifest["provenance"]["media"] and manifest["provenance"]["inputs"], "an image made from nothing"
for file in manifest["files"]:
    path = os.path.join(sys.argv[2], file["path"])
    with open(path, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(opened.read()).hexdigest()
    assert digest == file["sha256"], f"{path}: {digest}, and the manifest says {file['sha256']}"
    print(f"   {manifest['name']} by {manifest['provenance']['agent_name']}: {file['path']} sha256 {digest[:16]}… as its manifest says")
PYTHON
}

boot() {
    local name=$1 image page
    image=$(find "$run/me/pulled/$name" -type f | head -n 1)
    page=$(on me env KILN_BOOT_TIMEOUT=600 "$top/tests/boot-result.sh" "$image") || fail "the image of $name does not boot"
    note "it says: $page"
    [ "$page" = "a page of $name" ] || fail "that is not the page of $name"
}

main() {
    local name
    need_everything
    need_guest
    begin
    say "Three coordinators, three agents and an S3 server start, each in its own network"
    farm_up
    show_farm
    say "A template with four QEMU sources is sent (kiln build -farm)"
    write_template
    build
    say "The bucket"
    list_bucket
    kiln images list
    say "The images come back (kiln images pull)"
    for name in "${sources[@]}"; do pull "$name"; done
    for name in "${sources[@]}"; do kiln images verify -deep "qemu.$name"; done
    say "They boot"
    for name in "${sources[@]}"; do boot "$name"; done
    say "Everything goes"
    farm_down
    printf '\nfarm demo: ok (%s s)\n' "$SECONDS"
}

main "$@"

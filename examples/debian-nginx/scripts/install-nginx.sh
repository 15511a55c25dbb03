#!/bin/sh -eux
# cloud-init may still be at work when SSH answers; apt would then find its lock taken.
cloud-init status --wait
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y install --no-install-recommends nginx-light

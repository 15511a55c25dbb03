#!/bin/sh -eux
# Turns this machine into an image: nothing that belongs to one machine stays, and the boot loader stops asking.
mount /boot/loader
sed -i 's/^PROMPT .*/PROMPT 0/' /boot/loader/syslinux.cfg
umount /boot/loader
apt-get -q clean
rm -rf /var/lib/apt/lists/*
rm -f /etc/ssh/ssh_host_*
truncate -s 0 /etc/machine-id
cloud-init clean --logs
# Deleted files would otherwise live on in the unused blocks of the image.
fstrim -v /
sync

#!/bin/sh
# debian.sh MIRROR: base.tar is Debian 12 as debootstrap makes it from there. Its apt reads the sources.list that is here,
# and it trusts the authorities that this machine was given beside Debian's. As root.
set -eu
trap 'rm -rf tree' EXIT
debootstrap --variant=minbase --include=ca-certificates bookworm tree "$1"
cp sources.list tree/etc/apt/sources.list
find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t tree/usr/local/share/ca-certificates {} +
chroot tree update-ca-certificates
chroot tree apt-get clean
tar --create --numeric-owner --file base.tar --directory tree .
chown --reference=. base.tar

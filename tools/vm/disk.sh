#!/usr/bin/env bash
# Usage: tools/vm/disk.sh CACHE
# Makes CACHE/disk.img, CACHE/kernel and CACHE/initrd of CACHE/root.tar, unless they are made. As root.
# The machine takes its work from its second disk, a tar, and writes what came of it to its third.
set -euo pipefail
cache=$1
guest=$(dirname "$0")/guest

digest=$(cat "$0" "$guest/start.sh" "$guest/vm-start.service" <(stat -c %Y "$cache/root.tar") | sha256sum)
if [[ -f $cache/disk.made && $(<"$cache/disk.made") == "$digest" ]]; then
    exit 0
fi
root=$(mktemp -d "$cache/root.XXXXXX")
trap 'rm -rf "$root"' EXIT
tar -C "$root" --numeric-owner -xf "$cache/root.tar"
cp "$root"/boot/vmlinuz-* "$cache/kernel"
cp "$root"/boot/initrd.img-* "$cache/initrd"

echo gateway >"$root/etc/hostname"
echo "127.0.0.1 localhost gateway" >"$root/etc/hosts"
rm -f "$root/etc/resolv.conf"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
systemd-machine-id-setup --root="$root"
install -m 755 "$guest/start.sh" "$root/usr/local/sbin/vm-start"
install -m 644 "$guest/vm-start.service" "$root/etc/systemd/system/vm-start.service"
ln -s ../vm-start.service "$root/etc/systemd/system/multi-user.target.wants/vm-start.service"

mke2fs -q -t ext4 -d "$root" "$cache/disk.img.part" 3G
mv "$cache/disk.img.part" "$cache/disk.img"
echo "$digest" >"$cache/disk.made"

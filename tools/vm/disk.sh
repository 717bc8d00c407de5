#!/usr/bin/env bash
# Usage: tools/vm/disk.sh FOLDER
# Makes disk.img, kernel and initrd of root.tar in FOLDER, unless they are made. Runs as root.
# The machine takes its work from its second disk, a tar, and writes what came of it to its third.
set -euo pipefail
folder=$1
guest=$(dirname "$0")/guest

digest=$(cat "$0" "$guest/start.sh" "$guest/vm-start.service" <(stat -c %Y "$folder/root.tar") | sha256sum)
if [[ -f $folder/disk.made && $(<"$folder/disk.made") == "$digest" ]]; then
    exit 0
fi
root=$(mktemp -d "$folder/root.XXXXXX")
trap 'rm -rf "$root"' EXIT
tar -C "$root" --numeric-owner -xf "$folder/root.tar"
cp "$root"/boot/vmlinuz-* "$folder/kernel"
cp "$root"/boot/initrd.img-* "$folder/initrd"

echo gateway >"$root/etc/hostname"
echo "127.0.0.1 localhost gateway" >"$root/etc/hosts"
rm -f "$root/etc/resolv.conf"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
systemd-machine-id-setup --root="$root"
install -m 755 "$guest/start.sh" "$root/usr/local/sbin/vm-start"
install -m 644 "$guest/vm-start.service" "$root/etc/systemd/system/vm-start.service"
ln -s ../vm-start.service "$root/etc/systemd/system/multi-user.target.wants/vm-start.service"

mke2fs -q -t ext4 -d "$root" "$folder/disk.img.part" 3G
mv "$folder/disk.img.part" "$folder/disk.img"
echo "$digest" >"$folder/disk.made"

#!/usr/bin/env bash
# Usage: tools/vm/root.sh FOLDER ARCHITECTURE
# Builds FOLDER/root.tar, once: Debian 12 with Mosquitto. Runs as root; for arm64 some ten minutes and
# more, because the packages' own scripts run emulated.
set -euo pipefail
folder=$1 architecture=$2
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
packages=systemd-sysv,linux-image-$architecture,udev,dbus,kmod,procps,iproute2,ca-certificates
packages+=,mosquitto,mosquitto-clients,python3,libstdc++6,zlib1g

if [[ -f $folder/root.tar ]]; then
    exit 0
fi
mkdir -p "$folder"
if [[ $architecture != $(dpkg --print-architecture) ]]; then
    if [[ ! -e /proc/sys/fs/binfmt_misc/status ]]; then
        mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    fi
    update-binfmts --enable qemu-aarch64
fi

# The initial RAM disk gets the drivers of this one machine: all of Debian's take an hour, emulated.
few_drivers='
    mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
    echo MODULES=list >"$1/etc/initramfs-tools/conf.d/few-drivers"
    printf "%s\n" virtio_pci virtio_mmio virtio_blk pci_host_generic ext4 crc32c_generic \
        >"$1/usr/share/initramfs-tools/modules.d/few-drivers"
'
TMPDIR=$folder mmdebstrap --format=tar --arch="$architecture" --variant=minbase \
    --include="$packages" --essential-hook="$few_drivers" \
    bookworm "$folder/root.tar.part" "$mirror"
mv "$folder/root.tar.part" "$folder/root.tar"

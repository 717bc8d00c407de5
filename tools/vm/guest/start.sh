#!/bin/sh
# Runs in the machine: unpacks the work, does it, packs what came of it, switches off.
mkdir -p /srv/vm/out
cd /srv/vm || exit 1
tar -xf /dev/vdb
python3 job.py /srv/vm /srv/vm/out 2>&1 | tee out/job.log
journalctl -b --no-pager -u edge-agent -u mosquitto >out/journal.txt
tar -cf /dev/vdc -C /srv/vm/out .
sync
systemctl poweroff --no-block

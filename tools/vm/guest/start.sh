#!/bin/sh
# Runs in the machine: unpacks the work, does it, packs what came of it, switches off.
mkdir -p /run/vm/out
cd /run/vm || exit 1
tar -xf /dev/vdb
python3 job.py /run/vm /run/vm/out 2>&1 | tee out/job.log
journalctl -b --no-pager -u edge-agent -u mosquitto >out/journal.txt
tar -cf /dev/vdc -C /run/vm/out .
sync
systemctl poweroff --no-block

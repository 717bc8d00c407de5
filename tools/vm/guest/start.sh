#!/bin/sh
# Runs in the machine: unpacks the work, does it, packs what came of it, switches off.
mkdir -p /root/vm/out
cd /root/vm || exit 1
tar -xf /dev/vdb
python3 job.py /root/vm /root/vm/out 2>&1 | tee out/job.log
journalctl -b --no-pager -u edge-agent -u mosquitto >out/journal.txt
tar -cf /dev/vdc -C /root/vm/out .
sync
systemctl poweroff --no-block

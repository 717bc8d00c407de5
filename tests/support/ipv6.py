"""Whether this machine has IPv6: containers often have none, not even ::1."""

from __future__ import annotations

from pathlib import Path

import pytest

ADDRESSES = Path("/proc/net/if_inet6")
IPV6 = pytest.mark.skipif(
    not ADDRESSES.exists() or not ADDRESSES.read_text(), reason="this machine has no IPv6"
)

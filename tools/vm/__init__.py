"""A Debian 12 machine for arm64 under emulation, in which the package is installed and tried."""

"""How fast, how heavy: `make bench`, which renews docs/benchmarks.md."""

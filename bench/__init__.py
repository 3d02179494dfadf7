"""Benchmarks: what Rookery reaches on this machine, beside what it should reach. `make bench` runs them."""

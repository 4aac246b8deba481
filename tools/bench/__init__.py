"""Benchmarks: `make bench` runs all of them; what each of them measures stands in its module."""

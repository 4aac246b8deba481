"""Mutation tests: one change to a module at a time, which the tests of its room have to notice."""

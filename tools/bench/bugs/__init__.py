"""Bugs to seed: each a small named change to a right component, which the conformance kit has to catch."""

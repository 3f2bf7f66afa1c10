"""Exit codes: fine; the spec or the data is at fault; wrong usage; interrupted."""

FINE, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130

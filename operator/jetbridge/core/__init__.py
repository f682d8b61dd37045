"""The decisions: pure functions over frozen data. No I/O, no clock, no framework."""

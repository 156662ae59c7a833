"""The model of this package is imported as an installed one would be, by the subprocesses of the test alone."""

collect_ignore = ["gamma_clock.py"]

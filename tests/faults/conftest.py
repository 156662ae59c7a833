"""The model that ends its workers is imported as an installed one would be, by the processes of the faults alone."""

collect_ignore = ["model"]

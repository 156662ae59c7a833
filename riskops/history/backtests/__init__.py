"""Backtests: is what was forecast what came? Each test is one file's idea, over any number of methods and series."""

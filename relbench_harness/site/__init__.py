"""A results folder as a static site: read, drawn and written by `relbench-harness publish`.

Pages are functions of result lines, predictions and manifests: no clock, no network, so equal input gives equal files.
"""

"""Many searches: each is a call of `pyorder discover` in a process and a run folder of its own.

Hands on nothing, for the workers of a cluster need `process` alone.
"""

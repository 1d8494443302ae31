"""Settings -> wired application, one module per family: the only place that makes adapters.

``storage`` imports each adapter where it is needed, as every command uses it; the other modules import theirs at once.
"""

"""Whose word it is, and since when: keys, the trust store, commitments and time-stamps."""

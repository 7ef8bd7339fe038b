"""The calls: generate, check, load, verify, attest. Each composes the stages; the stages do the work.

``generation`` holds what the owner calls, ``verification`` what anybody does; the other modules what the two share.
"""

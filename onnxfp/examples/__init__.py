"""Characteristic examples: derived seeds and labels, and the sealed projected-gradient loop around them.

``recipe`` and ``derivation`` need numpy alone, since a verifier derives everything again. The modules that
craft examples import torch, and nothing that verifies imports those.
"""

"""Crafting characteristic examples: the sealed projected-gradient loop and what goes into one step."""

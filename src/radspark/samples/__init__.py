"""Samples: prepared radiographs joined with their labels and patient profile."""

"""Batches without padding, and attention within texts."""

"""Comparison of finished runs on the same test texts."""

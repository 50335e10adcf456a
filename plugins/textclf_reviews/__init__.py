"""Offers nothing yet."""

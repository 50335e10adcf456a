"""Readers of word vector files."""

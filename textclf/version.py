"""Owns the version of textclf, which is also the distribution's."""

VERSION = "0.1.0"

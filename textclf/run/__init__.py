"""From a plan to a finished run folder."""

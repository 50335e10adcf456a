"""From a plan to a report: the stages of a run, its folder, its numbers."""

"""From scores to a report: metrics, intervals, thresholds."""

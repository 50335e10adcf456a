"""What flows through a run: datasets, tokens, predictions, and the pure functions on them."""

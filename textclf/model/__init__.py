"""The trained classifier: prediction, its folder, its check and its explanations."""

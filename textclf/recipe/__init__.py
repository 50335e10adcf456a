"""From a recipe's text to a plan: values that remember where they stand, and everything that is wrong at once."""

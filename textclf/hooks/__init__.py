"""How plugins come in: the hooks, the components they offer, and the contracts those keep."""

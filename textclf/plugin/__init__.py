"""How plugins come in: hooks, components with their options, protocols, discovery."""

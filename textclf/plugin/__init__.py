"""The plugin machinery: hooks, components with their options, protocols, discovery."""

"""The command `textclf`: typer commands, one short module each, over the engine."""

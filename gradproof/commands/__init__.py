"""The commands of `gradproof`, each a function that typer reads. Each imports what it needs when it runs."""

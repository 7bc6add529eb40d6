"""Pictures of what was found: computing what to show, and drawing it."""

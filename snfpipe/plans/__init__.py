"""The plans, a module each, and the engine that turns their declarations into selections."""

"""One module a family of commands; each function is a command, its signature its options."""

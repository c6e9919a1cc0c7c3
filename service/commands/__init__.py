"""The subcommands of `bump`, one file each. They are imported only when they run."""

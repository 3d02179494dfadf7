"""Background workers, and the watchdog that restarts those that die or stall."""

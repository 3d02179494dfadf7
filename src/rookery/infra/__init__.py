"""What services stand on: a folder for each capability, with its port and one file per engine."""

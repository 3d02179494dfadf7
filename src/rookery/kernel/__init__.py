"""The kernel: values and rules without I/O. It imports nothing else of Rookery's."""

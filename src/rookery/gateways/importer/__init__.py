"""Bringing in what was written elsewhere: follow graphs and tweets from files, through the services' contracts.

Files are read as a stream, whatever their size. A line that can't be used is told of by its number, and the others are kept.
Everything can be run again, after an interrupt or in full, and adds only what is missing.
"""

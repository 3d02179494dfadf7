"""The demo network: people, follows and tweets that never were, the same for the same seed.

It fills an empty folder through the services' import contracts, so that somebody who tries Rookery finds a town, not a desert.
"""

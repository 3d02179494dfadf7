"""A network of several processes on one machine: engines, service processes, and HAProxy in front of them.

`layout` says what there is, `engines`, `haproxy` and `processes` start and stop it, `running` does so in order. Linux only.
"""


class ClusterError(Exception):
    """What a cluster can't do; the message is for whoever typed the command."""

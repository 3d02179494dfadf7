"""Files of a data folder, and pages that commands ask a running server for."""

CHECK_TIMELINES = "/check/timelines"
EVENTS = "/events"
DATABASE = "rookery.db"
MARK = "newest-event"
"""In the data folder; how far the event log had come. Whoever puts an older database there removes it."""

SERVER_LOCK = "serve.lock"
"""In the data folder; held by the server for as long as it lives."""

SERVER_FILE = "server.json"
"""In the data folder while a server runs: its process id and addresses, for commands that ask it something."""

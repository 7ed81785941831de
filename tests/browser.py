"""How tests start a browser."""

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic",
    # Calls home of its own are not ours (test_outside.py); what a page asks of other hosts, its tests see as requests.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]  # fmt: skip
PATIENCE = 180_000  # milliseconds; charts take seconds on a quiet machine

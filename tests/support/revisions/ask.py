"""A WEBUI_INIT_SCHEMA_COMMAND: hands DATABASE_URL to the process behind the socket named, and fails as it did."""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as app:
    app.connect(sys.argv[1])
    app.sendall(json.dumps(os.environ["DATABASE_URL"]).encode() + b"\n")
    answer = json.loads(app.makefile().readline())
if answer:
    sys.exit(answer)

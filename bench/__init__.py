"""The bench: how long a move takes, in how much memory, beside what PostgreSQL itself can take and beside other tools.

`scripts/bench` runs it. One concept, one module: `corpus` and `webui_db` make the file, `server` is PostgreSQL,
`process` measures, `ways` and `peers` move, `starts`, `network` and `cramped` are the further cases, `results` tells.
"""

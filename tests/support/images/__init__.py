"""Open WebUI of any version, from its wheel: filled through its own API, moved by webui-init, asked before and after.

The only list of versions is `versions`; `scripts/deps image:VERSION` installs one.
"""

"""The real Open WebUI as a test bench: start it, fill it, photograph it, compare.

Everything goes through the app's own HTTP API; nothing here knows its tables
except `dump`, which turns a stopped instance into a SQL fixture.
"""

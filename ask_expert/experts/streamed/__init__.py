"""Streamed replies, put together: one file per wire format."""

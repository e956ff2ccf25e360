"""Requests in: receive, decode, normalize, submit, answer once it is durable."""

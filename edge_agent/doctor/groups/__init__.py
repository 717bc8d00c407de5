"""One module a group: each ends with ``CHECKS``, its rows of the table."""

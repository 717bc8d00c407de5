"""The doctor: a table of checks, each with a finding and a fix. It changes nothing it examines."""

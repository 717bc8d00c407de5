"""Work orders: what the shipped generator is to write about messages of maintenance and faults."""

"""One module a command: ``arguments(parser)`` adds its options, ``run(options)`` is its work."""

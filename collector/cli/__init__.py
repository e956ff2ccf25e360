"""The command line: each module is one noun, argv in, one call out."""

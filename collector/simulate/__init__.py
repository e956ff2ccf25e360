"""The outside world: a synthetic fleet and synthetic browsers. They use HTTP and wire only, as the real ones do."""

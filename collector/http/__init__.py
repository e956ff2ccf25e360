"""The door every request passes: body, limits, authentication, errors. Its rules exist once, here."""

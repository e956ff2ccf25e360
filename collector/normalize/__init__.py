"""Wire type -> record, pure: payload in, record or named refusal out. No I/O library is imported here."""

"""The resources as typed values. No I/O here."""

"""What holds for all pure tests."""

from hypothesis import settings

# Time is no property of the code under test: a busy machine must not fail a law.
settings.register_profile("matrixhub", deadline=None)
settings.load_profile("matrixhub")

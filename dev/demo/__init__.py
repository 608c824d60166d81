"""The demo: the sample platform on the stand."""

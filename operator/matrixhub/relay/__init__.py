"""The relay: brings records of the tenants' topics to the channels of their apps on the gateways."""

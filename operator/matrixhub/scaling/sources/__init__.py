"""Where samples come from: the gateways' own metrics, and what Kafka says of a consumer group."""

"""How many gateways and consumers there should be, and why."""

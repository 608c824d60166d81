"""The WebSocket gateways: each tenant is an app on them, and they run in pods beside their RealtimeCluster."""

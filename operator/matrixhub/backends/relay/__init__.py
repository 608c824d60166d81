"""The relay of a RealtimeCluster, as pods in its namespace."""

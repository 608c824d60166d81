"""The same days, lived through by our scaling decisions, by the HPA and by KEDA."""

"""Which units there are and what each needs: the graph, freshness, decisions, status."""

"""The store on an OpenSearch cluster: one index for a team, kept by several machines."""

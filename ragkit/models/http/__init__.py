"""What every model server's client shares: transport, address, problems, a pool of threads."""

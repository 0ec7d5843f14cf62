"""The crash matrix: one whole promotion and one rollback, with the operator killed around each single request that it makes."""

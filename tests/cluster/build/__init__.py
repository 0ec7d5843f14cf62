"""Everything a cluster is made of, built once and cached outside the checkout."""

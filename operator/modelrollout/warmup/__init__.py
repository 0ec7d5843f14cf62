"""Golden requests to the pods of a candidate: the one place where the operator speaks to what it deploys."""

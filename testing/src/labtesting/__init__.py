"""Real servers, clients and contracts that the components' tests share."""

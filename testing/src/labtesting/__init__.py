"""Servers, clients and contracts that the components' tests share."""

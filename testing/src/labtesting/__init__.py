"""Servers, clients and contracts that are shared by the tests of all components."""

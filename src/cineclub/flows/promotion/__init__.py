"""Promotion: registering versions, and deciding which one serves."""

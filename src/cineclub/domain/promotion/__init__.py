"""Promotion: versions, gate, cool-down, rollback, online comparison."""

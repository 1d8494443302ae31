"""Deployment and monitoring: dashboards and alerts as typed code, and the files written from them."""

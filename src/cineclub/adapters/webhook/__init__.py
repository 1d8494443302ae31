"""Telling of alerts outside of cineclub, by HTTP."""

from cineclub.adapters.webhook.alerts import Webhook

__all__ = ["Webhook"]

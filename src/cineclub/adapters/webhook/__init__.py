"""Notices of alerts to a webhook."""

from cineclub.adapters.webhook.alerts import Webhook

__all__ = ["Webhook"]

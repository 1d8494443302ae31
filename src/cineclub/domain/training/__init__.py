"""Trainings: records, report, schedule, reproduction."""

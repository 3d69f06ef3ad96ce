"""Figures from the hour and day tables: places, analytics, hours."""

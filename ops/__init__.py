"""What runs cineclub elsewhere and watches it: dashboards and alerts as typed code, and the files written from them."""

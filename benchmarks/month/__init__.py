"""The simulated month: real ratings played against the whole service in a temporary folder, evaluated in hindsight."""

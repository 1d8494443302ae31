"""Values and rules, pure: no file, network, clock or log below this folder."""

"""The site. This file imports nothing: bin/up reads the package before any dependency is installed."""

"""The ground that everything stands on: errors, folders, files, registries, and the fingerprint of code. Nothing here knows images, texts
or codes."""

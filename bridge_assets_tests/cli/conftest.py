"""Every command runs in its own project."""

from support.registry_fixtures import empty_database, model_versions, project

__all__ = ["empty_database", "model_versions", "project"]

"""Every command runs in a project of its own."""

from support.registry_fixtures import empty_database, model_versions, project

__all__ = ["empty_database", "model_versions", "project"]

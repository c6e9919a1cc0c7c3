"""What a training says where the extra that it needs is not installed."""

from service.errors import ConfigurationError


def not_installed(error: ImportError) -> ConfigurationError:
    return ConfigurationError(
        f"Training a language model needs {error.name}: install the extra `train` "
        "(pip install 'bump-service[train]', or `make install-train`)."
    )

"""Settings -> the connections of requests, through a pooler where there is one."""

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.bootstrap.storage import database_url
from cineclub.settings import Settings


def serving_pool(settings: Settings) -> ServingPool:
    """Return the connections of the requests, through the pooler where there is one; nothing is opened yet."""
    direct_url = database_url(settings)
    if settings.database_url is None or settings.direct_database_url is None:
        return ServingPool(direct_url)
    return ServingPool(settings.database_url.get_secret_value(), direct_url=direct_url)

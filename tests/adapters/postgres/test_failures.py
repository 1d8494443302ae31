"""The classification of errors of PostgreSQL."""

import psycopg
import pytest

from cineclub.adapters.postgres.failures import is_lost, storage_error
from cineclub.domain import errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.QueryCanceled(), errors.StorageTooSlow),
        (psycopg.errors.LockNotAvailable(), errors.StorageTooSlow),
        (psycopg.errors.DiskFull(), errors.StorageFull),
        (psycopg.errors.DeadlockDetected(), errors.StorageContended),
        (psycopg.errors.SerializationFailure(), errors.StorageContended),
        (psycopg.errors.ReadOnlySqlTransaction(), errors.StorageReadOnly),
        (psycopg.errors.OutOfMemory(), errors.StorageOverloaded),
        (psycopg.errors.TooManyConnections(), errors.StorageOverloaded),
        (psycopg.errors.UndefinedTable(), errors.StorageMismatch),
        (psycopg.errors.UndefinedFunction(), errors.StorageMismatch),
        (psycopg.errors.RaiseException("no reading at night"), errors.StorageMismatch),
        (psycopg.errors.FdwUnableToEstablishConnection(), errors.StorageMismatch),
        (psycopg.errors.SqlclientUnableToEstablishSqlconnection(), errors.StorageMismatch),
        (psycopg.errors.IoError("could not write to file: No space left on device"), errors.StorageFull),
        (psycopg.errors.IoError("could not read block 3"), errors.StatementFailed),
        (psycopg.errors.AdminShutdown(), errors.StorageUnavailable),
        (psycopg.errors.CannotConnectNow(), errors.StorageUnavailable),
        (psycopg.errors.ConnectionFailure(), errors.StorageUnavailable),
        (psycopg.OperationalError("server closed the connection unexpectedly"), errors.StorageUnavailable),
        (psycopg.InterfaceError("the connection is closed"), errors.StorageUnavailable),
        (TimeoutError(), errors.StorageUnavailable),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), errors.StorageOverloaded),
    ],
)
def test_every_error_has_its_kind(error: Exception, kind: type[errors.StorageUnavailable]) -> None:
    """The kind of an error, and only a lost connection counts as one."""
    failure = storage_error(error)
    assert type(failure) is kind
    assert failure is not None
    assert is_lost(failure) == (kind is errors.StorageUnavailable)
    assert "{" not in str(failure)


@pytest.mark.parametrize("error", [psycopg.errors.UniqueViolation(), psycopg.errors.SyntaxError(), ValueError()])
def test_faults_of_ours_keep_their_class(error: Exception) -> None:
    """Errors that no state of the server explains are not disguised."""
    assert storage_error(error) is None


@pytest.mark.parametrize(
    "address", ["postgresql://127.0.0.1:1/x", "postgresql://nowhere.invalid/x", "postgresql:///x?host=/nowhere"]
)
def test_messages_name_no_address(address: str) -> None:
    """The owner reads the cause with host and port, others neither."""
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(address, connect_timeout=2)
    failure = storage_error(refused.value)
    assert failure is not None
    assert "does not answer" in str(failure)
    assert failure.detail == str(refused.value).strip()
    assert not any(part in str(failure) for part in ("127.0.0.1", "port", "nowhere"))

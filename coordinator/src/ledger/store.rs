//! The database under the ledger: numbered log records and a few named ones. The only door to redb.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use kiln_proto::Bytes;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{OpenLedgerError, Storage};

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const NAMED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("named");

/// Pages kept in memory besides the operating system's, in bytes: the log's tail is all that is ever read.
const CACHE: usize = 4 << 20;

/// The database. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Store {
    database: Arc<Database>,
    /// Whether a commit waits for a disk and must not hold up the other tasks of its thread.
    on_disk: bool,
}

type Result<T> = std::result::Result<T, redb::Error>;

impl Store {
    pub(super) fn open(storage: &Storage) -> std::result::Result<Self, OpenLedgerError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        let database = match storage {
            Storage::Memory => builder.create_with_backend(InMemoryBackend::new()),
            Storage::Directory(path) => {
                make_private_directory(path)
                    .map_err(|source| OpenLedgerError::Directory { path: path.clone(), source })?;
                builder.create(path.join("ledger.redb"))
            }
        };
        let database = database.map_err(|error| OpenLedgerError::Database(Box::new(error.into())))?;
        Self::of(database, *storage != Storage::Memory)
    }

    /// A database over anything that holds bytes.
    #[cfg(test)]
    pub(super) fn over(backend: impl redb::StorageBackend) -> std::result::Result<Self, OpenLedgerError> {
        let database = Database::builder().create_with_backend(backend);
        Self::of(database.map_err(|error| OpenLedgerError::Database(Box::new(error.into())))?, true)
    }

    fn of(database: Database, on_disk: bool) -> std::result::Result<Self, OpenLedgerError> {
        let store = Self { database: Arc::new(database), on_disk };
        store.make_tables().map_err(|error| OpenLedgerError::Database(Box::new(error)))?;
        Ok(store)
    }

    fn make_tables(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(LOG)?;
        transaction.open_table(NAMED)?;
        Ok(transaction.commit()?)
    }

    /// Commits a change; it is on disk when this returns.
    async fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let database = Arc::clone(&self.database);
        let commit = move || {
            let transaction = database.begin_write()?;
            change(&transaction)?;
            Ok(transaction.commit()?)
        };
        if !self.on_disk {
            return commit();
        }
        match tokio::task::spawn_blocking(commit).await {
            Ok(result) => result,
            Err(stopped) => Err(redb::Error::Io(std::io::Error::other(stopped))),
        }
    }

    /// Appends log records.
    pub(super) async fn append(&self, records: Vec<(u64, Bytes)>) -> Result<()> {
        self.write(move |transaction| {
            let mut log = transaction.open_table(LOG)?;
            for (index, record) in &records {
                log.insert(index, record.as_ref())?;
            }
            Ok(())
        })
        .await
    }

    /// Removes the log records from `index` on.
    pub(super) async fn truncate(&self, index: u64) -> Result<()> {
        self.write(move |transaction| {
            transaction.open_table(LOG)?.retain_in(index.., |_, _| false)?;
            Ok(())
        })
        .await
    }

    /// Removes the log records up to and with `index`, and remembers `record` under `name` in the same commit.
    pub(super) async fn purge(&self, index: u64, name: &'static str, record: Vec<u8>) -> Result<()> {
        self.write(move |transaction| {
            transaction.open_table(LOG)?.retain_in(..=index, |_, _| false)?;
            transaction.open_table(NAMED)?.insert(name, record.as_slice())?;
            Ok(())
        })
        .await
    }

    /// The log records of a range, in order.
    pub(super) fn range(&self, range: (Bound<u64>, Bound<u64>)) -> Result<Vec<Vec<u8>>> {
        let transaction = self.database.begin_read()?;
        let log = transaction.open_table(LOG)?;
        let mut records = Vec::new();
        for row in log.range::<u64>(range)? {
            records.push(row?.1.value().to_vec());
        }
        Ok(records)
    }

    /// The last log record.
    pub(super) fn last(&self) -> Result<Option<Vec<u8>>> {
        let transaction = self.database.begin_read()?;
        let log = transaction.open_table(LOG)?;
        let last = log.last()?;
        Ok(last.map(|(_, record)| record.value().to_vec()))
    }

    /// Remembers a record under a name.
    pub(super) async fn put(&self, name: &'static str, record: Vec<u8>) -> Result<()> {
        self.write(move |transaction| {
            transaction.open_table(NAMED)?.insert(name, record.as_slice())?;
            Ok(())
        })
        .await
    }

    /// The record of a name.
    pub(super) fn get(&self, name: &'static str) -> Result<Option<Vec<u8>>> {
        let transaction = self.database.begin_read()?;
        let named = transaction.open_table(NAMED)?;
        let record = named.get(name)?;
        Ok(record.map(|record| record.value().to_vec()))
    }
}

/// What the farm remembers is nobody else's business.
pub(super) fn make_private_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

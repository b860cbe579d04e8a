//! What must survive the process: registrations, tokens, the generation. One embedded database, readable by its owner alone; behind a trait, so
//! that etcd can stand here where one machine is not enough.

use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(String);

/// One step: all of it or nothing.
#[derive(Debug, Default, Clone)]
pub struct Txn {
    pub put: Vec<(String, Vec<u8>)>,
    pub delete: Vec<String>,
}

pub trait Store: Send + Sync {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Keys with this prefix, in order, with their values.
    fn list(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    fn txn(&self, txn: Txn) -> Result<(), StoreError>;
}

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("organza");

/// A file of redb's. After an error of the disk redb takes nothing more until it is opened anew; that is done here, with the next use.
pub struct Embedded {
    path: PathBuf,
    database: Mutex<Option<Database>>,
}

impl Embedded {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = open(path)?;
        Ok(Self { path: path.to_owned(), database: Mutex::new(Some(database)) })
    }

    fn with<T>(&self, act: impl Fn(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = held.as_ref() {
            match act(database) {
                Ok(done) => return Ok(done),
                // The file is locked by whoever has it open, us included.
                Err(_) => *held = None,
            }
        }
        let database = held.insert(open(&self.path)?);
        act(database)
    }
}

fn open(path: &Path) -> Result<Database, StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    // Made here first, so that it is never readable by others.
    let made = std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    made.map_err(|e| StoreError(format!("{}: {e}", path.display())))?;
    let database = Database::create(path).map_err(|e| StoreError(format!("{}: {e}", path.display())))?;
    let begin = database.begin_write().map_err(fail)?;
    begin.open_table(TABLE).map_err(fail)?;
    begin.commit().map_err(fail)?;
    Ok(database)
}

fn fail(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

impl Store for Embedded {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| {
            let read = database.begin_read().map_err(fail)?;
            let table = read.open_table(TABLE).map_err(fail)?;
            Ok(table.get(key).map_err(fail)?.map(|value| value.value().to_vec()))
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.with(|database| {
            let read = database.begin_read().map_err(fail)?;
            let table = read.open_table(TABLE).map_err(fail)?;
            let mut found = Vec::new();
            for entry in table.range(prefix..).map_err(fail)? {
                let (key, value) = entry.map_err(fail)?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(found)
        })
    }

    fn txn(&self, txn: Txn) -> Result<(), StoreError> {
        self.with(|database| {
            let write = database.begin_write().map_err(fail)?;
            {
                let mut table = write.open_table(TABLE).map_err(fail)?;
                for (key, value) in &txn.put {
                    table.insert(key.as_str(), value.as_slice()).map_err(fail)?;
                }
                for key in &txn.delete {
                    table.remove(key.as_str()).map_err(fail)?;
                }
            }
            write.commit().map_err(fail)
        })
    }
}

/// For tests: gone with the process.
#[derive(Default, Clone)]
pub struct Memory(Arc<Mutex<std::collections::BTreeMap<String, Vec<u8>>>>);

impl Store for Memory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }
    fn list(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(map.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }
    fn txn(&self, txn: Txn) -> Result<(), StoreError> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.extend(txn.put);
        txn.delete.iter().for_each(|key| drop(map.remove(key)));
        Ok(())
    }
}

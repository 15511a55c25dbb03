//! A machine on which nothing is but the files of one fuzz case.

use std::collections::BTreeMap;

use kiln_config::host::{DirectoryEntry, FileKind, Host, HostError};

/// Files by path; all else is missing or stands still.
#[derive(Debug)]
pub(crate) struct OneFile {
    files: BTreeMap<String, Vec<u8>>,
}

impl OneFile {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { files: BTreeMap::new() }.with(path, text)
    }

    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.as_bytes().to_vec());
        self
    }
}

impl Host for OneFile {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError> {
        let path = path.trim_start_matches("./");
        self.files.get(path).cloned().ok_or_else(|| HostError::NotFound { path: path.to_owned() })
    }

    fn read_standard_input(&self) -> Result<Vec<u8>, HostError> {
        Err(HostError::NotFound { path: "-".to_owned() })
    }

    fn kind(&self, path: &str) -> Result<Option<FileKind>, HostError> {
        Ok(self.files.contains_key(path.trim_start_matches("./")).then_some(FileKind::File))
    }

    fn list_directory(&self, _path: &str) -> Result<Vec<DirectoryEntry>, HostError> {
        let entry = |name: &String| DirectoryEntry { name: name.clone(), kind: FileKind::File };
        Ok(self.files.keys().map(entry).collect())
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/me".to_owned())
    }

    fn now_ns(&self) -> i64 {
        1_700_000_000_000_000_000
    }

    fn random_uuid(&self) -> String {
        "6f1b8f2e-5a64-4d0c-9c40-6a1a45c6a5f3".to_owned()
    }

    fn working_directory(&self) -> String {
        "/start".to_owned()
    }

    fn home_directory(&self) -> Option<String> {
        Some("/home/me".to_owned())
    }
}

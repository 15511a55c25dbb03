//! A world that is a table: files by path, environment by name, a clock that stands still.

use std::collections::BTreeMap;

use kiln_plan::{SecretQuestion, Sensitive};

use crate::host::{DirectoryEntry, FileKind, Host, HostError};

/// The answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    files: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    standard_input: Option<String>,
    plugins: BTreeMap<String, String>,
    secrets: Option<BTreeMap<String, String>>,
}

impl World {
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn plugin(mut self, source: &str, file: &str) -> Self {
        self.plugins.insert(source.to_owned(), file.to_owned());
        self
    }

    /// With a secret store, which answers this call; without any, none is asked.
    pub(crate) fn secret(mut self, call: &str, answer: &str) -> Self {
        self.secrets.get_or_insert_default().insert(call.to_owned(), answer.to_owned());
        self
    }

    pub(crate) fn standard_input(mut self, text: &str) -> Self {
        self.standard_input = Some(text.to_owned());
        self
    }

    /// A path as the table has it: what is below the working directory is relative to it.
    fn key(path: &str) -> String {
        let path = path.strip_prefix("/start/").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').filter(|p| !matches!(*p, "" | ".")).collect();
        let root = if path.starts_with('/') { "/" } else { "" };
        format!("{root}{}", parts.join("/"))
    }
}

impl Host for World {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError> {
        let text = self.files.get(&Self::key(path));
        text.map(|t| t.clone().into_bytes()).ok_or_else(|| HostError::NotFound { path: path.to_owned() })
    }

    fn read_standard_input(&self) -> Result<Vec<u8>, HostError> {
        let text = self.standard_input.clone();
        text.map(String::into_bytes).ok_or_else(|| HostError::NotFound { path: "-".to_owned() })
    }

    fn kind(&self, path: &str) -> Result<Option<FileKind>, HostError> {
        let key = Self::key(path);
        if self.files.contains_key(&key) {
            return Ok(Some(FileKind::File));
        }
        let prefix = if key.is_empty() { String::new() } else { format!("{key}/") };
        Ok(self.files.keys().any(|f| f.starts_with(&prefix)).then_some(FileKind::Directory))
    }

    fn list_directory(&self, path: &str) -> Result<Vec<DirectoryEntry>, HostError> {
        let key = Self::key(path);
        let prefix = if key.is_empty() { String::new() } else { format!("{key}/") };
        let inside = self.files.keys().filter_map(|f| f.strip_prefix(&prefix));
        let mut entries: BTreeMap<&str, FileKind> = BTreeMap::new();
        for path in inside {
            match path.split_once('/') {
                Some((directory, _)) => entries.insert(directory, FileKind::Directory),
                None => entries.insert(path, FileKind::File),
            };
        }
        if entries.is_empty() {
            return Err(HostError::NotFound { path: path.to_owned() });
        }
        // In an order that nobody would rely on.
        let entries = entries.into_iter().rev();
        Ok(entries.map(|(name, kind)| DirectoryEntry { name: name.to_owned(), kind }).collect())
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
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

    fn secret(&self, question: &SecretQuestion) -> Result<Option<Sensitive<String>>, HostError> {
        let Some(secrets) = &self.secrets else { return Ok(None) };
        match secrets.get(&question.to_string()) {
            Some(answer) => Ok(Some(Sensitive::new(answer.clone()))),
            None => Err(HostError::NoSecret { reason: format!("the store has no {question}") }),
        }
    }

    fn installed_plugin(&self, source: &str) -> Option<String> {
        self.plugins.get(source).cloned()
    }
}

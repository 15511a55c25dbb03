//! Answers from a machine, and remembers what another machine could not know.

use super::{
    Arc, BTreeMap, DirectoryEntry, FileKind, Host, HostError, Mutex, PoisonError, SecretQuestion, Sensitive,
    SharedHost, World,
};

/// A host that passes every question on and takes notes.
#[derive(Debug)]
pub struct Recorder {
    inner: SharedHost,
    notes: Mutex<World>,
    /// Files that were named on the command line, which need not lie in the bundle.
    named: Vec<String>,
}

impl Recorder {
    /// Takes notes of what `inner` is asked; `named` are the files named on the command line.
    pub fn new(inner: SharedHost, named: &[String]) -> Arc<Self> {
        Arc::new(Self { inner, notes: Mutex::default(), named: named.to_vec() })
    }

    /// What was asked so far, for an evaluation whose working directory is `working_directory` of the bundle.
    pub fn world(&self, working_directory: &str) -> World {
        let mut world = self.note(|notes| notes.clone());
        world.working_directory = working_directory.to_owned();
        world.home_directory = self.inner.home_directory();
        world
    }

    fn note<T>(&self, take: impl FnOnce(&mut World) -> T) -> T {
        take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for Recorder {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError> {
        let bytes = self.inner.read_file(path)?;
        if self.named.iter().any(|named| named == path) {
            self.note(|notes| notes.files.insert(path.to_owned(), Sensitive::new(bytes.clone())));
        }
        Ok(bytes)
    }

    fn read_standard_input(&self) -> Result<Vec<u8>, HostError> {
        // Standard input can be read once; whoever evaluates again reads the notes.
        if let Some(read) = self.note(|notes| notes.standard_input.clone()) {
            return Ok(read.reveal().clone());
        }
        let bytes = self.inner.read_standard_input()?;
        self.note(|notes| notes.standard_input = Some(Sensitive::new(bytes.clone())));
        Ok(bytes)
    }

    fn kind(&self, path: &str) -> Result<Option<FileKind>, HostError> {
        self.inner.kind(path)
    }

    fn list_directory(&self, path: &str) -> Result<Vec<DirectoryEntry>, HostError> {
        self.inner.list_directory(path)
    }

    fn environment(&self, name: &str) -> Option<String> {
        let value = self.inner.environment(name);
        let noted = value.clone().map(Sensitive::new);
        let _: Option<_> = self.note(|notes: &mut World| {
            let environment: &mut BTreeMap<_, _> = &mut notes.environment;
            environment.insert(name.to_owned(), noted)
        });
        value
    }

    fn now_ns(&self) -> i64 {
        self.inner.now_ns()
    }

    fn random_uuid(&self) -> String {
        self.inner.random_uuid()
    }

    fn working_directory(&self) -> String {
        self.inner.working_directory()
    }

    fn home_directory(&self) -> Option<String> {
        self.inner.home_directory()
    }

    fn secret(&self, question: &SecretQuestion) -> Result<Option<Sensitive<String>>, HostError> {
        let answer = self.inner.secret(question)?;
        if let Some(answer) = &answer {
            self.note(|notes| notes.secrets.insert(question.to_string(), answer.clone()));
        }
        Ok(answer)
    }

    fn installed_plugin(&self, source: &str) -> Option<String> {
        self.inner.installed_plugin(source)
    }
}

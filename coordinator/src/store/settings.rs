//! Which object store a farm uses, and by whose keys.

use std::path::PathBuf;

use kiln_plan::Sensitive;

/// Which object store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreSettings {
    /// In memory: it ends with the process, as a farm of one does.
    #[default]
    Memory,
    /// This directory, which is made if need be. With several coordinators, one that all of them share.
    Directory(PathBuf),
    /// S3, or whatever speaks like it.
    S3(S3Settings),
    /// Google Cloud Storage.
    Gcs(GcsSettings),
    /// Azure Blob Storage.
    Azure(AzureSettings),
}

/// A name and its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The name, as `AKIA…`.
    pub id: String,
    /// The secret.
    pub secret: Sensitive<String>,
}

/// A bucket of S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket. It must exist.
    pub bucket: String,
    /// A folder in the bucket; empty for none.
    pub prefix: String,
    /// The region; `us-east-1` when empty.
    pub region: String,
    /// Where the service is, as `https://s3.example.org:9000`; `None` for Amazon's.
    pub endpoint: Option<String>,
    /// The keys; `None` for what the environment says (`AWS_ACCESS_KEY_ID` and its kin, a web identity, the
    /// machine's own role).
    pub keys: Option<KeyPair>,
    /// Whether plain HTTP will do.
    pub allow_http: bool,
    /// Whether links demand the content's SHA-256 of the store. Off for stores that refuse the header.
    pub unchecked: bool,
}

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcsSettings {
    /// The bucket. It must exist.
    pub bucket: String,
    /// A folder in the bucket; empty for none.
    pub prefix: String,
    /// The file with the service account's key; `None` for what the environment says
    /// (`GOOGLE_APPLICATION_CREDENTIALS`, or the machine's own account).
    pub service_account: Option<PathBuf>,
    /// Where the service is; `None` for Google's.
    pub endpoint: Option<String>,
    /// Whether plain HTTP will do.
    pub allow_http: bool,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AzureSettings {
    /// The storage account.
    pub account: String,
    /// The container. It must exist.
    pub container: String,
    /// A folder in the container; empty for none.
    pub prefix: String,
    /// The account's key; `None` for what the environment says (`AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_CLIENT_ID`…).
    pub key: Option<Sensitive<String>>,
    /// Where the service is; `None` for Azure's.
    pub endpoint: Option<String>,
    /// Whether plain HTTP will do.
    pub allow_http: bool,
}

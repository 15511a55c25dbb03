//! From settings to a store, with limits on every request and keys from where the settings say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::link::Dialect;
use super::{AzureSettings, GcsSettings, S3Settings, Signs, Store, StoreSettings};

/// A connection, one request, and everything with what is tried again.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
const RETRY_LIMIT: Duration = Duration::from_secs(30);
const RETRIES: usize = 4;

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The settings make no sense.
    #[error("the settings of the object store {place} can't be used")]
    Settings {
        /// Which one.
        place: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The directory can't be made.
    #[error("failed to make the object store's directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

pub(super) fn open(settings: &StoreSettings) -> Result<Store, OpenStoreError> {
    match settings {
        StoreSettings::Memory => Ok(ours(InMemory::new(), "memory".into())),
        StoreSettings::Directory(path) => directory(path),
        StoreSettings::S3(s3) => {
            let place = format!("the bucket {}", s3.bucket);
            let dialect = Dialect::S3 { checked: !s3.unchecked };
            amazon(s3).map(|store| cloud(store, &s3.prefix, &place, dialect)).map_err(unusable(&place))
        }
        StoreSettings::Gcs(gcs) => {
            let place = format!("the bucket {} of Google Cloud", gcs.bucket);
            let store = google(gcs).build();
            store.map(|store| cloud(store, &gcs.prefix, &place, Dialect::Gcs)).map_err(unusable(&place))
        }
        StoreSettings::Azure(azure) => {
            let place = format!("the container {} of {}", azure.container, azure.account);
            let store = microsoft(azure).build();
            store.map(|store| cloud(store, &azure.prefix, &place, Dialect::Azure)).map_err(unusable(&place))
        }
    }
}

fn unusable(place: &str) -> impl FnOnce(object_store::Error) -> OpenStoreError {
    let place = place.to_owned();
    move |source| OpenStoreError::Settings { place, source }
}

fn ours(backend: impl ObjectStore, place: String) -> Store {
    Store {
        backend: Arc::new(backend),
        prefix: "".into(),
        place: place.into(),
        signs: Signs::Ourselves(None),
        lost_writes: Arc::default(),
    }
}

fn cloud<S: ObjectStore + Signer>(store: S, prefix: &str, place: &str, dialect: Dialect) -> Store {
    let store = Arc::new(store);
    let prefix = prefix.trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let signs = Signs::Cloud { signer: Arc::clone(&store) as Arc<dyn Signer>, dialect };
    Store { backend: store, prefix: prefix.into(), place: place.into(), signs, lost_writes: Arc::default() }
}

/// A directory that only the coordinator's user can enter, written through to the disk.
fn directory(path: &Path) -> Result<Store, OpenStoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| OpenStoreError::Directory { path: path.to_owned(), source })?;
    let place = format!("the directory {}", path.display());
    let store = LocalFileSystem::new_with_prefix(path).map_err(unusable(&place))?;
    Ok(ours(store.with_fsync(true), place))
}

fn client() -> ClientOptions {
    // Fails only when a provider is chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientOptions::new().with_connect_timeout(CONNECT_LIMIT).with_timeout(REQUEST_LIMIT)
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(5),
        ..BackoffConfig::default()
    };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_LIMIT }
}

fn amazon(settings: &S3Settings) -> Result<AmazonS3, object_store::Error> {
    let region = if settings.region.is_empty() { "us-east-1" } else { &settings.region };
    let mut builder = match &settings.keys {
        Some(keys) => {
            AmazonS3Builder::new().with_access_key_id(&keys.id).with_secret_access_key(keys.secret.reveal())
        }
        None => AmazonS3Builder::from_env(),
    };
    builder = builder
        .with_bucket_name(&settings.bucket)
        .with_region(region)
        .with_allow_http(settings.allow_http)
        .with_client_options(client().with_allow_http(settings.allow_http))
        .with_retry(retry());
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    builder.build()
}

fn google(settings: &GcsSettings) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&settings.bucket)
        .with_client_options(client().with_allow_http(settings.allow_http))
        .with_retry(retry());
    if let Some(file) = &settings.service_account {
        builder = builder.with_service_account_path(file.display().to_string());
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    builder
}

fn microsoft(settings: &AzureSettings) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_account(&settings.account)
        .with_container_name(&settings.container)
        .with_allow_http(settings.allow_http)
        .with_client_options(client().with_allow_http(settings.allow_http))
        .with_retry(retry());
    if let Some(key) = &settings.key {
        builder = builder.with_access_key(key.reveal());
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    builder
}

//! What a template asks a secret store for.
//!
//! Evaluation states the question and stays pure; whoever has the network answers it.

use std::fmt;

/// One call of one of the functions for secret stores, with Packer's meaning of the arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretQuestion {
    /// `vault(path, key)`: a field of a secret in a key-value engine of HashiCorp Vault, of version 1 or 2.
    Vault {
        /// As the API has it: for version 2 with `data` after the engine's name.
        path: String,
        /// The field.
        key: String,
    },
    /// `consul_key(key)`: a value of Consul's key-value store.
    Consul {
        /// Its key, without a slash in front.
        key: String,
    },
    /// `aws_secretsmanager(name, key)`: a secret that is text, or a field of one that is a JSON object.
    Aws {
        /// The secret's name or ARN.
        name: String,
        /// The field; without one, the only one.
        key: Option<String>,
    },
    /// `aws_secretsmanager_raw(name)`: the whole text of a secret.
    AwsRaw {
        /// The secret's name or ARN.
        name: String,
    },
}

impl fmt::Display for SecretQuestion {
    /// As a template of HCL2 writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault { path, key } => write!(f, "vault({path:?}, {key:?})"),
            Self::Consul { key } => write!(f, "consul_key({key:?})"),
            Self::Aws { name, key: None } => write!(f, "aws_secretsmanager({name:?}, null)"),
            Self::Aws { name, key: Some(key) } => write!(f, "aws_secretsmanager({name:?}, {key:?})"),
            Self::AwsRaw { name } => write!(f, "aws_secretsmanager_raw({name:?})"),
        }
    }
}

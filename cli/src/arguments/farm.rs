//! Which farm is meant: words that every command has that speaks to one.

use clap::Args;

/// The farm and how it is entered.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FarmArguments {
    /// The farm's coordinators, as in https://a.example:7447,https://b.example:7447 [env: KILN_FARM]
    #[arg(long, value_name = "URL,…")]
    farm: Option<String>,
    /// A file with the token that opens the farm [env: KILN_TOKEN, the token itself]
    #[arg(long = "token-file", value_name = "FILE")]
    token_file: Option<String>,
}

/// The farm that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChosenFarm {
    /// Its addresses, with commas between.
    pub(crate) addresses: String,
    /// The file with the token, if one was named.
    pub(crate) token_file: Option<String>,
}

impl FarmArguments {
    /// The farm that the command line or the environment names, if any does.
    pub(crate) fn chosen(&self) -> Option<ChosenFarm> {
        let named = self.farm.clone().or_else(|| std::env::var("KILN_FARM").ok());
        let addresses = named.filter(|addresses| !addresses.trim().is_empty())?;
        Some(ChosenFarm { addresses, token_file: self.token_file.clone() })
    }
}

//! `kiln farm token`: who may join a farm, and who may ask it for what.

use kiln_lang::duration;
use kiln_proto::v1;
use kiln_proto::v1::identity_client::IdentityClient;
use kiln_proto::v1::token_use::Usage;

use super::tables::table;
use super::{Done, FarmCommandError};
use crate::arguments::farm::{CreateTokenArguments, TokenCommand, TokenUse};
use crate::exit_code::Ended;
use crate::farm_connection::Connection;
use crate::render::Screen;

/// Does what was asked for.
pub(super) async fn run(command: &TokenCommand, connection: Connection, screen: &Screen) -> Done {
    let mut identity = IdentityClient::new(connection);
    match command {
        TokenCommand::Create(asked) => {
            let made = identity.create_token(request(asked)?).await?.into_inner();
            // Alone on its line, so that a script can put it into a file.
            screen.say(&made.token);
        }
        TokenCommand::List => {
            let listed = identity.list_tokens(v1::ListTokensRequest {}).await?.into_inner();
            let row = |token: v1::TokenInfo| [token.id, token.name, words(token.usage.as_ref()), token.state];
            screen.say(&table(["token", "name", "for", "state"], listed.tokens.into_iter().map(row)));
        }
        TokenCommand::Revoke(asked) => {
            identity.revoke_token(v1::RevokeTokenRequest { id: asked.token.clone() }).await?;
        }
    }
    Ok(Ended::Well)
}

fn request(asked: &CreateTokenArguments) -> Result<v1::CreateTokenRequest, FarmCommandError> {
    let client =
        |role: v1::Role| Usage::Client(v1::Client { role: role.into(), projects: asked.project.clone() });
    let usage = match asked.usage {
        TokenUse::Agent => Usage::JoinAgent(v1::JoinAgent {}),
        TokenUse::Coordinator => Usage::JoinCoordinator(v1::JoinFarm {}),
        TokenUse::Viewer => client(v1::Role::Viewer),
        TokenUse::Builder => client(v1::Role::Builder),
        TokenUse::Operator => client(v1::Role::Operator),
    };
    let valid = asked.valid.as_deref().map(|text| {
        let span = duration::parse(text).ok().filter(|span| !span.is_negative());
        let span = span.ok_or_else(|| {
            FarmCommandError::Words(format!("-valid {text:?} is no time span, as 30m or 12h"))
        })?;
        Ok::<_, FarmCommandError>(u64::try_from(span.max_zero().as_millis()).unwrap_or(u64::MAX))
    });
    let name = if asked.name.is_empty() { asked.usage.word() } else { &asked.name };
    Ok(v1::CreateTokenRequest {
        name: name.to_owned(),
        usage: Some(v1::TokenUse { usage: Some(usage) }),
        valid_ms: valid.transpose()?,
    })
}

fn words(usage: Option<&v1::TokenUse>) -> String {
    match usage.and_then(|usage| usage.usage.as_ref()) {
        Some(Usage::JoinAgent(_)) => "agent".to_owned(),
        Some(Usage::JoinCoordinator(_)) => "coordinator".to_owned(),
        Some(Usage::Client(client)) => {
            let role = match client.role() {
                v1::Role::Viewer => "viewer",
                v1::Role::Builder => "builder",
                v1::Role::Operator => "operator",
                v1::Role::Unspecified => "unknown",
            };
            match client.projects.is_empty() {
                true => role.to_owned(),
                false => format!("{role} of {}", client.projects.join(", ")),
            }
        }
        None => "unknown".to_owned(),
    }
}

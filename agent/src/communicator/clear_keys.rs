//! `ssh_clear_authorized_keys`: the temporary key leaves the guest before the image is made.
//!
//! Packer finds the key by the comment `temporary_key_pair_name` alone, hence never where a template gives no name.
//! Here it is found by the key itself as well.

use std::time::Duration;

use kiln_component::Communicator;
use tokio::time::timeout;

use super::config::SshConfig;
use super::keys::KeyPair;

/// How long the guest may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Removes the temporary key from the `authorized_keys` of the user and of root. Failures are no failures of the
/// build, as in Packer; they are noted in the log of the agent.
pub async fn clear_keys(communicator: &dyn Communicator, config: &SshConfig, key: Option<&KeyPair>) {
    if !config.clear_authorized_keys || config.login.key.is_some() {
        return;
    }
    let blob = key.and_then(|k| k.public_line().split_whitespace().nth(1));
    let Some(script) = sed_script(blob, &config.temporary_key.name) else { return };
    for (sudo, file) in [("", "~/.ssh/authorized_keys"), ("sudo -n ", "/root/.ssh/authorized_keys")] {
        let command = format!("{sudo}sed -i.bak {script} {file} && {sudo}rm {file}.bak");
        match timeout(LIMIT, run(communicator, &command)).await {
            Ok(Ok(0)) => {}
            outcome => tracing::debug!(?outcome, file, "the temporary key was not removed"),
        }
    }
}

/// What `sed` is told: to delete the lines that hold the key, or end with its name.
fn sed_script(blob: Option<&str>, name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let by_key = blob.filter(|b| b.chars().all(plain)).map(|b| format!(r"\|{b}|d"));
    let by_name = (!name.is_empty()).then(|| {
        let special = |c: char| r"\.*[]^$|/".contains(c);
        let escaped: String =
            name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect();
        format!("/ {escaped}$/d")
    });
    let scripts: Vec<String> = by_key.into_iter().chain(by_name).collect();
    let quoted = |s: &String| format!("-e '{}'", s.replace('\'', r"'\''"));
    (!scripts.is_empty()).then(|| scripts.iter().map(quoted).collect::<Vec<_>>().join(" "))
}

async fn run(
    communicator: &dyn Communicator,
    command: &str,
) -> Result<i32, kiln_component::CommunicatorError> {
    let mut remote = communicator.start(command).await?;
    remote.stdin = None;
    // What sed says is of interest to nobody, but must be read.
    let mut nowhere = (tokio::io::sink(), tokio::io::sink());
    let _ = tokio::join!(
        tokio::io::copy(&mut remote.stdout, &mut nowhere.0),
        tokio::io::copy(&mut remote.stderr, &mut nowhere.1)
    );
    Ok(remote.exit.await.map_or(-1, kiln_component::Exit::code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_by_itself_and_by_its_name() {
        assert_eq!(sed_script(None, ""), None);
        assert_eq!(sed_script(Some("AA+/b="), "").unwrap(), r"-e '\|AA+/b=|d'");
        assert_eq!(sed_script(None, "packer_1.x").unwrap(), r"-e '/ packer_1\.x$/d'");
        assert_eq!(sed_script(Some("AA"), "it's").unwrap(), r"-e '\|AA|d' -e '/ it'\''s$/d'");
        assert_eq!(sed_script(Some("A'; rm"), ""), None);
    }

    #[test]
    fn a_real_sed_removes_that_line_alone() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate(super::super::keys::KeyKind::EcdsaP256, "").unwrap();
        let file = dir.path().join("authorized_keys");
        std::fs::write(&file, format!("ssh-rsa AAAA other\n{}ssh-rsa BBBB packer_1\n", key.public_line()))
            .unwrap();
        let script = sed_script(key.public_line().split_whitespace().nth(1), "packer_1").unwrap();
        let command = format!("sed -i.bak {script} {}", file.display());
        assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "ssh-rsa AAAA other\n");
    }
}

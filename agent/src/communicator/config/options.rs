//! The options of all communicators as data, for every builder to append to its own.

use kiln_plan::schema::{OptionSchema, OptionType};

use OptionType::{Bool, Duration, Integer, String, Strings, Trilean};

const fn option(name: &'static str, ty: OptionType, help: &'static str) -> OptionSchema {
    OptionSchema::new(name, ty, help)
}

/// The options of Packer's communicators (`communicator`, `ssh_*`, `temporary_key_pair_*`, `winrm_*`).
pub fn options() -> Vec<OptionSchema> {
    let mut all = vec![
        option("communicator", String, "How the guest is reached.")
            .default("ssh")
            .values(&["none", "ssh", "winrm"]),
        option(
            "pause_before_connecting",
            Duration,
            "After the first connection, wait this long and connect anew: for guests that reboot right after their first start.",
        )
        .default("0s"),
    ];
    all.extend(login());
    all.extend(temporary_key());
    all.extend(connection());
    all.extend(bastion());
    all.extend(proxy_and_tunnels());
    all.extend(winrm());
    all
}

fn login() -> Vec<OptionSchema> {
    vec![
        option("ssh_host", String, "The guest's address, where the builder doesn't find it out by itself."),
        option("ssh_port", Integer, "The port of the guest's SSH server.").default("22"),
        option("ssh_username", String, "Who logs in; must be given when the communicator is ssh."),
        option("ssh_password", String, "The password to log in with, also the answer to interactive questions."),
        option(
            "ssh_private_key_file",
            String,
            "A private key to log in with, without passphrase; `~` is expanded.",
        ),
        option(
            "ssh_certificate_file",
            String,
            "An OpenSSH user certificate for the key of `ssh_private_key_file`; `~` is expanded.",
        ),
        option("ssh_keypair_name", String, "The name of a key pair that a cloud already knows."),
        option("ssh_private_key", String, "A private key as text; internal to Packer's plug-ins."),
        option("ssh_public_key", String, "A public key as text; internal to Packer's plug-ins."),
        option("ssh_agent_auth", Bool, "Log in with the keys of the ssh-agent behind `SSH_AUTH_SOCK`.")
            .default("false"),
        option(
            "ssh_disable_agent_forwarding",
            Bool,
            "Don't offer the ssh-agent of this machine to the guest; it is offered whenever it can be reached.",
        )
        .default("false"),
        option(
            "ssh_clear_authorized_keys",
            Bool,
            "Remove the temporary key from the guest's authorized_keys after provisioning.",
        )
        .default("false"),
        option(
            "ssh_interface",
            String,
            "Which of the guest's addresses to connect to, in builders that know several.",
        ),
        option("ssh_ip_version", String, "`4` or `6`, in builders that know both kinds of address."),
    ]
}

fn temporary_key() -> Vec<OptionSchema> {
    vec![
        option(
            "temporary_key_pair_name",
            String,
            "The comment of the temporary key, and its name in a cloud.",
        ),
        option(
            "temporary_key_pair_type",
            String,
            "The kind of the temporary key: `ecdsa`, `ed25519` or `rsa`. The default is quick to make and known to \
             every SSH server since 2011; write `rsa` for older guests.",
        )
        .default("ecdsa, 256 bits; rsa when only the bits are given"),
        option("temporary_key_pair_bits", Integer, "The size of the temporary key.")
            .default("rsa 4096, ecdsa 521"),
    ]
}

fn connection() -> Vec<OptionSchema> {
    vec![
        option("ssh_timeout", Duration, "How long to wait for the guest to let us in.")
            .default("5m, or no limit when only ssh_handshake_attempts is set"),
        option("ssh_wait_timeout", Duration, "The former name of ssh_timeout.").deprecated("ssh_timeout"),
        option("ssh_handshake_attempts", Integer, "How often the guest may refuse the login.")
            .default("10, or no limit when only ssh_timeout is set"),
        option("ssh_pty", Bool, "Run commands on a terminal.").default("false"),
        option("ssh_ciphers", Strings, "The ciphers to offer, best first.")
            .default("aes256-gcm, chacha20-poly1305, aes-ctr"),
        option("ssh_key_exchange_algorithms", Strings, "The key exchanges to offer, best first.")
            .default("mlkem768x25519, curve25519, ecdh, diffie-hellman groups 14 to 18"),
        option("ssh_file_transfer_method", String, "How files are carried in and out.")
            .default("scp")
            .values(&["scp", "sftp"]),
        option(
            "ssh_keep_alive_interval",
            Duration,
            "How long a silent connection may go unprobed; negative: for ever.",
        )
        .default("5s"),
        option(
            "ssh_read_write_timeout",
            Duration,
            "How long one read or write on the connection may take; no limit on commands.",
        )
        .default("no limit"),
    ]
}

fn bastion() -> Vec<OptionSchema> {
    vec![
        option("ssh_bastion_host", String, "An SSH server to go through."),
        option("ssh_bastion_port", Integer, "Its port.").default("22"),
        option("ssh_bastion_username", String, "Who logs in there.").default("ssh_username"),
        option("ssh_bastion_password", String, "The password to log in there with."),
        option("ssh_bastion_interactive", Bool, "Ask a person what the bastion asks.").default("false"),
        option("ssh_bastion_agent_auth", Bool, "Log in there with the keys of the ssh-agent.")
            .default("false"),
        option(
            "ssh_bastion_private_key_file",
            String,
            "A private key to log in there with; `~` is expanded.",
        )
        .default("ssh_private_key_file, with its certificate"),
        option(
            "ssh_bastion_certificate_file",
            String,
            "An OpenSSH user certificate for the key of `ssh_bastion_private_key_file`; `~` is expanded.",
        ),
    ]
}

fn proxy_and_tunnels() -> Vec<OptionSchema> {
    vec![
        option(
            "ssh_proxy_host",
            String,
            "A SOCKS5 or HTTP proxy to go through; `socks5://` or `http://` before the name settles which, \
             otherwise SOCKS5 is tried first.",
        ),
        option("ssh_proxy_port", Integer, "Its port.").default("1080"),
        option("ssh_proxy_username", String, "The name that the proxy wants."),
        option("ssh_proxy_password", String, "The password that the proxy wants."),
        option(
            "ssh_remote_tunnels",
            Strings,
            "`REMOTE_PORT:LOCAL_HOST:LOCAL_PORT`: the guest reaches a server on this side through its own port.",
        ),
        option(
            "ssh_local_tunnels",
            Strings,
            "`LOCAL_PORT:REMOTE_HOST:REMOTE_PORT`: this machine reaches a server on the guest's side through a \
             port of its own.",
        ),
    ]
}

fn winrm() -> Vec<OptionSchema> {
    vec![
        option("winrm_username", String, "Who logs in over WinRM."),
        option("winrm_password", String, "The password to log in with."),
        option("winrm_host", String, "The guest's address, where the builder doesn't find it out by itself."),
        option("winrm_no_proxy", Bool, "Go past the HTTP proxy of the environment.").default("false"),
        option("winrm_port", Integer, "The port of the guest's WinRM service.")
            .default("5985, with SSL 5986"),
        option("winrm_timeout", Duration, "How long to wait for WinRM.").default("30m"),
        option("winrm_use_ssl", Bool, "Speak HTTPS.").default("false"),
        option("winrm_insecure", Bool, "Don't verify the certificate.").default("false"),
        option("winrm_use_ntlm", Trilean, "Log in by NTLM instead of Basic."),
    ]
}

#cloud-config
autoinstall:
  version: 1
  locale: en_US.UTF-8
  keyboard: { layout: us }
  identity:
    hostname: ${hostname}
    username: ${username}
    password: "${password_hash}"
  ssh: { install-server: true, allow-pw: true }
  storage: { layout: { name: direct } }
  packages: [qemu-guest-agent]
  late-commands:
    - echo '${username} ALL=(ALL) NOPASSWD:ALL' > /target/etc/sudoers.d/${username}
    - chmod 440 /target/etc/sudoers.d/${username}
